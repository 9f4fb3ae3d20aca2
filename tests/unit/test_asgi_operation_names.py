"""The operations that requests of ASGI applications are counted as."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from asgi_client import Application, Client, ask
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from perftui.metrics.asgi import OperationMiddleware
from perftui.metrics.execution import ExecutionMetrics
from perftui.metrics.report import OperationCounts


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=None)


def names(metrics: ExecutionMetrics) -> set[str]:
    return set(metrics.counts())


async def answer(request: Request) -> Response:
    return PlainTextResponse("ok")


def check_names(
    app: Application, metrics: ExecutionMetrics, expected: Iterable[tuple[str, str, str]]
) -> None:
    """Ask twice for each path, so that the names kept from the first round are tried too."""
    expected = list(expected)
    for count in (1, 2):
        for method, path, name in expected:
            before = metrics.counts().get(name, OperationCounts(0, 0, 0.0)).count
            ask(app, path, method)
            after = metrics.counts().get(name, OperationCounts(0, 0, 0.0)).count
            assert after == before + 1, (count, method, path, names(metrics))
    assert names(metrics) == {name for _, _, name in expected}


class CopyingScope:
    """A middleware that gives the application a scope of its own."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


async def passing(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


def starlette_routes(static: Path) -> list[Any]:
    (static / "logo.txt").write_text("logo")
    inner = Starlette(routes=[Route("/orders/{order:int}", answer)])
    return [
        Route("/", answer),
        Route("/users/{id:int}", answer, methods=["GET", "DELETE"]),
        Route("/files/{rest:path}", answer),
        # One endpoint behind several routes.
        Route("/people/{name}", answer),
        Mount("/static", StaticFiles(directory=static)),
        Mount("/api", routes=[Mount("/v1", app=inner), Route("/ping", answer)]),
        Mount("/tenants/{tenant}", app=inner),
        Mount("/wrapped", app=CopyingScope(inner)),
        Host("{sub}.example.org", app=Router(routes=[Route("/users/{id}", answer)])),
    ]


STARLETTE_NAMES = [
    ("GET", "/", "GET /"),
    ("GET", "/users/7", "GET /users/{id}"),
    ("GET", "/users/8", "GET /users/{id}"),
    ("HEAD", "/users/7", "HEAD /users/{id}"),
    ("DELETE", "/users/7", "DELETE /users/{id}"),
    ("POST", "/users/7", "POST /users/{id}"),
    ("GET", "/files/a/b/c", "GET /files/{rest}"),
    ("GET", "/people/ann", "GET /people/{name}"),
    ("GET", "/static/logo.txt", "GET /static/{path}"),
    ("GET", "/static/missing", "GET /static/{path}"),
    ("GET", "/api/v1/orders/3", "GET /api/v1/orders/{order}"),
    ("GET", "/api/ping", "GET /api/ping"),
    ("GET", "/tenants/a/orders/3", "GET /tenants/{tenant}/orders/{order}"),
    ("GET", "/tenants/b/orders/3", "GET /tenants/{tenant}/orders/{order}"),
    ("GET", "/wrapped/orders/3", "GET /wrapped/orders/{order}"),
    ("GET", "/api/v1/nothing", "GET _unmatched"),
    ("GET", "/nothing/1", "GET _unmatched"),
    ("GET", "/users/x", "GET _unmatched"),
    ("GET", "/users/7/", "GET _unmatched"),
    ("BREW", "/nothing/2", "_other _unmatched"),
    ("SMOKE", "/users/7", "_other /users/{id}"),
]


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_starlette_names(place: str, metrics: ExecutionMetrics, tmp_path: Path) -> None:
    inside = Starlette(routes=starlette_routes(tmp_path))
    if place == "inside":
        inside.add_middleware(OperationMiddleware, metrics=metrics)
        check_names(inside, metrics, STARLETTE_NAMES)
    else:
        check_names(OperationMiddleware(inside, metrics=metrics), metrics, STARLETTE_NAMES)


@pytest.mark.parametrize(
    "between",
    [Middleware(CopyingScope), Middleware(BaseHTTPMiddleware, dispatch=passing)],
    ids=["copies-scope", "dispatch"],
)
def test_other_middlewares_do_not_hide_the_route(
    between: Middleware, metrics: ExecutionMetrics, tmp_path: Path
) -> None:
    app = Starlette(routes=starlette_routes(tmp_path), middleware=[between])
    app.add_middleware(OperationMiddleware, metrics=metrics)
    check_names(app, metrics, STARLETTE_NAMES)


def test_host_is_part_of_the_name(metrics: ExecutionMetrics, tmp_path: Path) -> None:
    app = OperationMiddleware(Starlette(routes=starlette_routes(tmp_path)[-1:]), metrics=metrics)
    for _ in range(2):
        assert ask(app, "/users/1", host="api.example.org:80").status == 200
    ask(app, "/users/1", host="elsewhere.test")
    assert {name: c.count for name, c in metrics.counts().items()} == {
        "GET {sub}.example.org/users/{id}": 2,
        "GET _unmatched": 1,
    }


def test_same_routes_below_two_hosts(metrics: ExecutionMetrics) -> None:
    shop = Router(routes=[Route("/users/{id}", answer)])
    routes = [Host("a.test", app=shop), Host("b.test", app=shop)]
    app = OperationMiddleware(Starlette(routes=routes), metrics=metrics)
    for host in ("a.test", "b.test", "a.test"):
        ask(app, "/users/1", host=host)
    assert {name: c.count for name, c in metrics.counts().items()} == {
        "GET a.test/users/{id}": 2,
        "GET b.test/users/{id}": 1,
    }


def test_names_kept_for_mounts_with_parameters_are_limited(metrics: ExecutionMetrics) -> None:
    inner = Starlette(routes=[Route("/orders", answer)])
    app = OperationMiddleware(Starlette(routes=[Mount("/{tenant}", app=inner)]), metrics=metrics)

    async def many() -> None:
        for number in range(2_100):
            client = Client(f"/t{number}/orders")
            await app(client.scope, client.receive, client.send)
        client = Client("/" + "x" * 100_000 + "/orders")
        await app(client.scope, client.receive, client.send)

    asyncio.run(many())
    assert {name: c.count for name, c in metrics.counts().items()} == {
        "GET /{tenant}/orders": 2_101
    }
    kept = app._routes._known
    assert 0 < len(kept) < 100
    assert max(len(mounted) for *_, mounted in kept) < 10


@pytest.mark.parametrize("place", ["outside", "inside"])
@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.filterwarnings("ignore:The `root_path` parameter")
def test_fastapi_names(place: str, root_path: str, metrics: ExecutionMetrics) -> None:
    app = FastAPI(root_path=root_path)
    router = APIRouter(prefix="/users")
    nested = APIRouter(prefix="/{id}/orders")
    sub = FastAPI()

    @nested.get("/{order}")
    async def order(id: int, order: int) -> int:  # noqa: A002
        return order

    @router.get("")
    @router.get("/all")
    def users() -> str:
        return "users"

    @router.get("/{id}")
    def user(id: int) -> int:  # noqa: A002
        return id

    @sub.get("/items/{item}")
    def item(item: str) -> str:
        return item

    async def plain(request: Request) -> Response:
        return PlainTextResponse("plain")

    router.include_router(nested)
    router.add_route("/plain/{x}", plain)
    app.include_router(router)
    app.include_router(router, prefix="/v2")
    app.mount("/sub", sub)
    app.get("/direct/{x}")(item)
    expected = [
        ("GET", "/users", "GET /users"),
        ("GET", "/users/all", "GET /users/all"),
        ("GET", "/users/7", "GET /users/{id}"),
        ("GET", "/users/seven", "GET /users/{id}"),
        ("POST", "/users/7", "POST /users/{id}"),
        ("GET", "/users/7/orders/9", "GET /users/{id}/orders/{order}"),
        ("GET", "/v2/users/7", "GET /v2/users/{id}"),
        ("GET", "/v2/users/7/orders/9", "GET /v2/users/{id}/orders/{order}"),
        ("GET", "/plain/5", "GET /plain/{x}"),
        ("GET", "/v2/plain/5", "GET /v2/plain/{x}"),
        ("GET", "/sub/items/5", "GET /sub/items/{item}"),
        ("GET", "/sub/openapi.json", "GET /sub/openapi.json"),
        ("GET", "/openapi.json", "GET /openapi.json"),
        ("GET", "/direct/5", "GET /direct/{x}"),
        ("GET", "/sub/nothing", "GET _unmatched"),
        ("GET", "/nothing", "GET _unmatched"),
    ]
    expected = [(method, root_path + path, name) for method, path, name in expected]
    if place == "inside":
        app.add_middleware(OperationMiddleware, metrics=metrics)
        check_names(app, metrics, expected)
    else:
        check_names(OperationMiddleware(app, metrics=metrics), metrics, expected)


@pytest.mark.skipif("frontend" not in dir(FastAPI), reason="needs a FastAPI with app.frontend()")
def test_front_end_of_fastapi(metrics: ExecutionMetrics, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    app = FastAPI()
    sub = FastAPI()
    app.frontend("/", directory=tmp_path)
    sub.frontend("/ui", directory=tmp_path)
    app.mount("/sub", sub)
    app.add_middleware(OperationMiddleware, metrics=metrics)
    check_names(
        app,
        metrics,
        [
            ("GET", "/index.html", "GET /{path}"),
            ("GET", "/missing.js", "GET /{path}"),
            ("GET", "/sub/ui/index.html", "GET /sub/{path}"),
            ("GET", "/sub/nothing", "GET _unmatched"),
        ],
    )


def test_preflight_answered_by_a_middleware_has_the_route(metrics: ExecutionMetrics) -> None:
    app = Starlette(
        routes=[Route("/users/{id}", answer)],
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"])],
    )
    app.add_middleware(OperationMiddleware, metrics=metrics)
    client = ask(
        app, "/users/1", "OPTIONS", origin="http://a.test", access_control_request_method="GET"
    )
    assert client.status == 200
    assert names(metrics) == {"OPTIONS /users/{id}"}


def test_template_of_litestar_and_of_the_application(metrics: ExecutionMetrics) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/litestar/5":
            scope["path_template"] = "/litestar/{id:int}"
        if scope["path"] == "/own/5":
            scope["perftui.route"] = "/own/{id}"
        await PlainTextResponse("ok")(scope, receive, send)

    check_names(
        OperationMiddleware(app, metrics=metrics),
        metrics,
        [
            ("GET", "/litestar/5", "GET /litestar/{id:int}"),
            ("GET", "/own/5", "GET /own/{id}"),
            ("GET", "/unknown/5", "GET _unmatched"),
        ],
    )


def test_route_hook_is_asked_first_and_may_pass(metrics: ExecutionMetrics) -> None:
    app = OperationMiddleware(
        Starlette(routes=[Route("/a/{x}", answer), Route("/b/{x}", answer)]),
        metrics=metrics,
        route=lambda scope: "/mine" if scope["path"].startswith("/b") else None,
    )
    check_names(app, metrics, [("GET", "/a/1", "GET /a/{x}"), ("GET", "/b/1", "GET /mine")])


def test_fault_in_a_hook_is_logged_once_and_harms_nobody(
    metrics: ExecutionMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(scope: Any) -> str:
        raise KeyError("no such thing")

    app = OperationMiddleware(
        Starlette(routes=[Route("/a", answer)]), metrics=metrics, route=broken
    )
    with caplog.at_level(logging.ERROR, "perftui.metrics"):
        for _ in range(3):
            assert ask(app, "/a").sent[1]["body"] == b"ok"
    assert len(caplog.records) == 1
    assert "no such thing" in caplog.text
    assert metrics.counts()["GET _unmatched"].count == 3


def test_metrics_that_cannot_count_are_logged_once_and_harm_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(ExecutionMetrics):
        def record_execution(self, operation: str, duration: float, success: bool) -> None:
            raise OSError("no space left")

    app = OperationMiddleware(Starlette(routes=[Route("/a", answer)]), metrics=Full(registry=None))
    for _ in range(3):
        assert ask(app, "/a").sent[1]["body"] == b"ok"
    assert len(caplog.records) == 1
    assert "no space left" in caplog.text


def test_foreign_things_in_the_scope_name_nothing(
    metrics: ExecutionMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    class Foreign:
        routes = (object(), "route")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(app=Foreign(), route="x", endpoint=object(), fastapi="mine")
        if scope["path"] == "/2":
            scope["router"] = Foreign()
        await PlainTextResponse("ok")(scope, receive, send)

    check_names(
        OperationMiddleware(app, metrics=metrics),
        metrics,
        [("GET", "/1", "GET _unmatched"), ("GET", "/2", "GET _unmatched")],
    )
    assert not caplog.records
