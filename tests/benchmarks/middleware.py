"""What the middlewares add to a request: microseconds, each beside the same application without.

Run `python tests/benchmarks/middleware.py`. Nothing is sent anywhere, so the figures are those of
the middleware alone. Pairs are measured in turn, the median of the differences is printed.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from asgi_client import REQUEST, Client
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from wsgi_server import environment

from perftui.metrics import asgi, wsgi
from perftui.metrics.execution import ExecutionMetrics

ROUNDS = 40
REQUESTS = 250

Run = Callable[[Any, str], float]

urlpatterns = [path("users/<int:user>/", lambda request, user: HttpResponse("ok"))]


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def nothing_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


async def receive() -> dict[str, Any]:
    return REQUEST


async def send(message: Any) -> None:
    return None


def run_asgi(app: Any, where: str) -> float:
    async def requests() -> float:
        scope = Client(where).scope
        begin = time.perf_counter()
        for _ in range(REQUESTS):
            await app(dict(scope), receive, send)
        return time.perf_counter() - begin

    return asyncio.run(requests()) / REQUESTS


def run_wsgi(app: Any, where: str) -> float:
    environ = environment(where)
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        body = app(dict(environ), lambda *_: None)
        for _part in body:
            pass
        try:
            close = body.close
        except AttributeError:
            continue
        close()
    return (time.perf_counter() - begin) / REQUESTS


def compare(what: str, run: Run, bare: Any, measured: Any, where: str) -> None:
    run(bare, where), run(measured, where)
    without: list[float] = []
    added: list[float] = []
    gc.collect()
    for _ in range(ROUNDS):
        without.append(run(bare, where))
        added.append(run(measured, where) - without[-1])
    print(
        f"{what:42} {statistics.median(without) * 1e6:8.1f} us without, "
        f"{statistics.median(added) * 1e6:+7.1f} us"
    )


def main() -> None:
    metrics = ExecutionMetrics(registry=None)
    compare(
        "ExecutionMetrics.record_execution alone",
        lambda call, _: call(),
        lambda: 0.0,
        lambda: record(metrics),
        "",
    )
    compare(
        "ASGI, an application that does nothing",
        run_asgi,
        nothing,
        asgi.OperationMiddleware(nothing, metrics=metrics),
        "/",
    )

    async def answer(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    routes = [Route(f"/r{number}/{{x}}", answer) for number in range(100)]
    for what, where, tree in (
        ("Starlette, last of 100 routes", "/r99/1", routes),
        ("Starlette, mounted", "/api/r0/1", [Mount("/api", routes=routes)]),
        ("Starlette, mount with parameter", "/a/r0/1", [Mount("/{tenant}", routes=routes)]),
        ("Starlette, none of 100 routes", "/nothing", routes),
    ):
        bare = Starlette(routes=tree)
        compare(what, run_asgi, bare, asgi.OperationMiddleware(bare, metrics=metrics), where)

    fast = FastAPI()

    async def user(user: int) -> int:
        return user

    fast.get("/users/{user}")(user)
    compare("FastAPI", run_asgi, fast, asgi.OperationMiddleware(fast, metrics=metrics), "/users/1")
    compare(
        "WSGI, an application that does nothing",
        run_wsgi,
        nothing_wsgi,
        wsgi.OperationMiddleware(nothing_wsgi, metrics=metrics),
        "/",
    )
    flask = Flask(__name__)
    flask.get("/users/<int:user>")(lambda user: str(user))
    compare("Flask", run_wsgi, flask, wsgi.OperationMiddleware(flask, metrics=metrics), "/users/1")

    settings.configure(ROOT_URLCONF=__name__, LOGGING_CONFIG=None, DEFAULT_CHARSET="utf-8")
    with override_settings(MIDDLEWARE=[]):
        bare_django = WSGIHandler()
    with override_settings(MIDDLEWARE=["perftui.metrics.django.OperationMiddleware"]):
        measured_django = WSGIHandler()
    compare("Django under WSGI", run_wsgi, bare_django, measured_django, "/users/1/")


def record(metrics: ExecutionMetrics) -> float:
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        metrics.record_execution("GET /users/{user}", 0.001, True)
    return (time.perf_counter() - begin) / REQUESTS


if __name__ == "__main__":
    main()
