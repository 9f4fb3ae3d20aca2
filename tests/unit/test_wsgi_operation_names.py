"""The operations that requests of WSGI applications are counted as."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, stream_with_context
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from wsgi_server import TEXT, ask, plain

from perftui.metrics.execution import ExecutionMetrics
from perftui.metrics.wsgi import OperationMiddleware


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=None)


def counted(metrics: ExecutionMetrics) -> dict[str, int]:
    return {name: counts.count for name, counts in metrics.counts().items()}


def shop() -> Flask:
    app = Flask(__name__)
    api = Blueprint("api", __name__, url_prefix="/api")

    @app.get("/users/<int:user>")
    def users(user: int) -> str:
        return str(user)

    @app.get("/gone")
    def gone() -> str:
        abort(410)

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("broken")

    @app.get("/stream/<name>")
    def stream(name: str) -> Response:
        return Response(stream_with_context(iter(["a", "b"])))

    @api.get("/orders/<order>")
    def orders(order: str) -> str:
        return order

    app.register_blueprint(api)
    return app


FLASK_NAMES = [
    ("GET", "/users/7", "GET /users/<int:user>"),
    ("GET", "/users/8", "GET /users/<int:user>"),
    ("HEAD", "/users/8", "HEAD /users/<int:user>"),
    ("GET", "/stream/x", "GET /stream/<name>"),
    ("GET", "/api/orders/5", "GET /api/orders/<order>"),
    ("GET", "/gone", "GET /gone"),
    ("GET", "/broken", "GET /broken"),
    ("GET", "/nothing/5", "GET _unmatched"),
    ("GET", "/users/x", "GET _unmatched"),
    ("BREW", "/nothing/6", "_other _unmatched"),
]


def test_flask_names(metrics: ExecutionMetrics) -> None:
    app = shop()
    app.wsgi_app = OperationMiddleware(app.wsgi_app, metrics=metrics)  # type: ignore[method-assign]
    expected: dict[str, int] = {}
    for method, path, name in FLASK_NAMES:
        ask(app, path, method)
        expected[name] = expected.get(name, 0) + 1
        assert counted(metrics) == expected
    failures = {name for name, counts in metrics.counts().items() if counts.failures}
    assert failures == {"GET /broken"}


@pytest.mark.parametrize("place", ["around", "inside"])
def test_flask_below_a_dispatcher(place: str, metrics: ExecutionMetrics) -> None:
    inner = DispatcherMiddleware(plain(), {"/deep": shop()})
    mounts: dict[str, Any] = {"/shop": shop(), "/more": inner}
    app: Any
    if place == "around":
        app = OperationMiddleware(DispatcherMiddleware(shop(), mounts), metrics=metrics)
    else:
        root = shop()
        root.wsgi_app = DispatcherMiddleware(root.wsgi_app, mounts)  # type: ignore[method-assign]
        app = OperationMiddleware(root, metrics=metrics)
    for path in ("/users/1", "/shop/users/1", "/shop/users/2", "/more/deep/users/1", "/more/x"):
        ask(app, path, SCRIPT_NAME="/proxy")
    assert counted(metrics) == {
        "GET /users/<int:user>": 1,
        "GET /shop/users/<int:user>": 2,
        "GET /more/deep/users/<int:user>": 1,
        "GET _unmatched": 1,
    }


def test_script_name_from_the_client_stays_out(metrics: ExecutionMetrics) -> None:
    app = shop()

    def by_tenant(environ: dict[str, Any], start_response: Any) -> Any:
        _, tenant, rest = environ["PATH_INFO"].split("/", 2)
        environ.update(SCRIPT_NAME=f"/{tenant}", PATH_INFO=f"/{rest}")
        return app(environ, start_response)

    measured = OperationMiddleware(by_tenant, metrics=metrics)
    for tenant in range(3):
        assert ask(measured, f"/tenant{tenant}/users/1").status == "200 OK"
    assert counted(metrics) == {"GET /users/<int:user>": 3}


def test_route_hook_and_key(
    metrics: ExecutionMetrics,
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        environ["late"] = "/late"
        if environ["PATH_INFO"] == "/own/5":
            environ["perftui.route"] = "/own/{id}"
        return [b"ok"]

    def route(environ: dict[str, Any]) -> str | None:
        if environ["PATH_INFO"] == "/hooked/5":
            return "/hooked/{id}"
        return environ.get("late") if environ["PATH_INFO"] == "/late" else None

    measured = OperationMiddleware(app, metrics=metrics, route=route)
    for path in ("/own/5", "/hooked/5", "/late", "/else"):
        ask(measured, path)
    assert counted(metrics) == {
        "GET /own/{id}": 1,
        "GET /hooked/{id}": 1,
        "GET /late": 1,
        "GET _unmatched": 1,
    }


def test_fault_in_a_hook_is_logged_once_and_harms_nobody(
    metrics: ExecutionMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(environ: dict[str, Any]) -> str:
        raise KeyError("no such thing")

    app = OperationMiddleware(plain(b"ok"), metrics=metrics, route=broken)
    with caplog.at_level(logging.ERROR, "perftui.metrics"):
        for _ in range(3):
            assert ask(app).parts == [b"ok"]
    assert len(caplog.records) == 1
    assert counted(metrics) == {"GET _unmatched": 3}


def test_threads(metrics: ExecutionMetrics) -> None:
    app = OperationMiddleware(shop(), metrics=metrics)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask(app, f"/users/{number}"), range(400)))
    assert counted(metrics) == {"GET /users/<int:user>": 400}
