"""Requests of a Django project become calls of operations, under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import django
import pytest
from asgi_client import LEFT, Client
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test.utils import override_settings
from django.urls import include, path, re_path
from wsgi_server import Answer, environment, start_nothing
from wsgi_server import ask as ask_wsgi

from perftui.metrics import asgi, wsgi
from perftui.metrics.django import OperationMiddleware
from perftui.metrics.execution import ExecutionMetrics, shared
from perftui.metrics.url_patterns import readable

Ask = Callable[..., Any]


def fine(request: HttpRequest, **parameters: Any) -> HttpResponse:
    return HttpResponse("ok")


async def later(request: HttpRequest, **parameters: Any) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("ok")


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("broken")


async def broken_later(request: HttpRequest) -> HttpResponse:
    raise LookupError("broken")


async def never(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(3600)
    return HttpResponse("too late")


def streaming(request: HttpRequest, end: str) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        yield "a"
        if end == "badly":
            raise LookupError("in the middle")
        yield "b"

    return StreamingHttpResponse(parts())


async def streaming_later(request: HttpRequest, end: str) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        yield "a"
        if end == "badly":
            raise LookupError("in the middle")
        if end == "never":
            await asyncio.sleep(3600)
        yield "b"

    return StreamingHttpResponse(parts())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


urlpatterns = [
    path("", fine),
    path("users/<int:user>/", fine),
    path("later/<slug:name>/", later),
    path("broken/", broken),
    path("broken-later/", broken_later),
    path("never/", never),
    path("stream/<end>/", streaming),
    path("stream-later/<end>/", streaming_later),
    path("file/", file),
    path("api/", include([re_path(r"^orders/(?P<pk>[^/.]+)/$", fine)])),
]

METRICS: list[ExecutionMetrics] = []


class Measured(OperationMiddleware):
    """As a project would adapt it, with the metrics of the running test."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response, metrics=METRICS[-1])


class OnlyErrors(OperationMiddleware):
    def __init__(self, get_response: Any) -> None:
        super().__init__(
            get_response,
            metrics=METRICS[-1],
            route=lambda request: request.headers.get("x-route"),
            failure=lambda status: status == 404,
        )


def turning_away(get_response: Any) -> Any:
    """A synchronous middleware of the project that answers some requests itself."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "away" in request.GET:
            return HttpResponse(status=403)
        return get_response(request)

    return middleware


@pytest.fixture(scope="module", autouse=True)
def _project() -> None:
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="only for tests",
            LOGGING_CONFIG=None,
            DEFAULT_CHARSET="utf-8",
        )
        django.setup()


@pytest.fixture
def metrics() -> Iterator[ExecutionMetrics]:
    METRICS.append(ExecutionMetrics(registry=None))
    yield METRICS[-1]
    METRICS.clear()


def counted(metrics: ExecutionMetrics) -> dict[str, int]:
    return {name: counts.count for name, counts in metrics.counts().items()}


def outcome(metrics: ExecutionMetrics) -> str:
    (counts,) = metrics.counts().values()
    return {(1, 0, 0): "success", (1, 1, 0): "failure", (0, 0, 1): "cancelled"}[
        counts.count, counts.failures, counts.cancelled
    ]


def handler(kind: type, *middlewares: str) -> Any:
    with override_settings(MIDDLEWARE=[f"{__name__}.{each}" for each in middlewares]):
        return kind()


def ask_asgi(app: Any, path: str, method: str = "GET", client: Client | None = None) -> Client:
    client = client or Client(path, method)
    path, _, query = path.partition("?")
    client.scope.update(path=path, query_string=query.encode())

    async def run() -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(app(client.scope, client.receive, client.send), 20)

    asyncio.run(run())
    return client


@pytest.mark.parametrize(("kind", "ask"), [(WSGIHandler, ask_wsgi), (ASGIHandler, ask_asgi)])
@pytest.mark.parametrize("middlewares", [["Measured"], ["Measured", "turning_away"]])
def test_names(kind: type, ask: Ask, middlewares: list[str], metrics: ExecutionMetrics) -> None:
    app = handler(kind, *middlewares)
    for method, where, name, failures in [
        ("GET", "/", "GET /", 0),
        ("GET", "/users/7/", "GET /users/<int:user>/", 0),
        ("POST", "/users/8/", "POST /users/<int:user>/", 0),
        ("BREW", "/users/8/", "_other /users/<int:user>/", 0),
        ("GET", "/later/x/", "GET /later/<slug:name>/", 0),
        ("GET", "/broken/", "GET /broken/", 1),
        ("GET", "/broken-later/", "GET /broken-later/", 1),
        ("GET", "/api/orders/a1/", "GET /api/orders/<pk>/", 0),
        ("GET", "/nothing/5/", "GET _unmatched", 0),
    ]:
        ask(app, where, method)
        counts = metrics.counts()[name]
        assert (counts.count, counts.failures) == (1, failures), name
    assert sum(counted(metrics).values()) == 9


@pytest.mark.parametrize(("kind", "ask"), [(WSGIHandler, ask_wsgi), (ASGIHandler, ask_asgi)])
def test_answer_before_the_patterns_were_tried(
    kind: type, ask: Ask, metrics: ExecutionMetrics
) -> None:
    if kind is WSGIHandler:
        ask(handler(kind, "Measured", "turning_away"), "/users/7/", QUERY_STRING="away=1")
    else:
        ask(handler(kind, "Measured", "turning_away"), "/users/7/?away=1")
    assert counted(metrics) == {"GET _unmatched": 1}


def test_own_rules_in_a_subclass(metrics: ExecutionMetrics) -> None:
    app = handler(WSGIHandler, "OnlyErrors")
    ask_wsgi(app, "/broken/", HTTP_X_ROUTE="/mine")
    ask_wsgi(app, "/nothing/")
    assert counted(metrics) == {"GET /mine": 1, "GET _unmatched": 1}
    assert {name: c.failures for name, c in metrics.counts().items()} == {
        "GET /mine": 0,
        "GET _unmatched": 1,
    }


@pytest.mark.parametrize(
    ("where", "method", "parts", "expected"),
    [
        ("/stream/well/", "GET", None, "success"),
        ("/stream/badly/", "GET", None, "failure"),
        ("/stream/well/", "GET", 1, "cancelled"),
        ("/stream/well/", "GET", 0, "cancelled"),
        ("/stream/well/", "HEAD", 0, "success"),
        ("/file/", "GET", None, "success"),
        ("/file/", "GET", 1, "cancelled"),
    ],
)
def test_streaming_under_wsgi(
    where: str, method: str, parts: int | None, expected: str, metrics: ExecutionMetrics
) -> None:
    answer: Answer = ask_wsgi(handler(WSGIHandler, "Measured"), where, method, parts=parts)
    assert (answer.error is not None) == (expected == "failure")
    assert outcome(metrics) == expected


def test_file_reaches_the_server_as_a_file(metrics: ExecutionMetrics) -> None:
    environ = environment("/file/", file_wrapper=FileWrapper)
    body: Any = handler(WSGIHandler, "Measured")(environ, start_nothing)
    assert type(body) is FileWrapper
    assert b"".join(body) == Path(__file__).read_bytes()
    assert not metrics.counts()
    body.close()
    assert outcome(metrics) == "success"
    assert body.filelike.closed


@pytest.mark.parametrize(
    ("where", "expected", "begin", "size"),
    [
        ("/stream-later/well/", "success", b"ab", 2),
        ("/stream-later/badly/", "failure", b"a", 1),
        ("/file/", "success", b'"""Requests', Path(__file__).stat().st_size),
    ],
)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
def test_streaming_under_asgi(
    where: str, expected: str, begin: bytes, size: int, metrics: ExecutionMetrics
) -> None:
    client = ask_asgi(handler(ASGIHandler, "Measured"), where)
    body = b"".join(message.get("body", b"") for message in client.sent)
    assert body.startswith(begin)
    assert len(body) == size
    assert outcome(metrics) == expected


@pytest.mark.parametrize("where", ["/never/", "/stream-later/never/"])
def test_client_that_leaves_cancels(where: str, metrics: ExecutionMetrics) -> None:
    class Leaving(Client):
        async def receive(self) -> Any:
            message = await super().receive()
            if message["type"] == "http.request":
                asyncio.get_running_loop().call_later(0.2, self.inbox.put_nowait, LEFT)
            return message

    ask_asgi(handler(ASGIHandler, "Measured"), where, client=Leaving(where))
    assert outcome(metrics) == "cancelled"


@pytest.mark.parametrize(
    ("kind", "ask", "around"),
    [
        (WSGIHandler, ask_wsgi, wsgi.OperationMiddleware),
        (ASGIHandler, ask_asgi, asgi.OperationMiddleware),
    ],
)
def test_middleware_around_django_learns_the_route(
    kind: type, ask: Ask, around: Any, metrics: ExecutionMetrics
) -> None:
    app = around(handler(kind, "Measured"), metrics=metrics)
    ask(app, "/users/7/")
    ask(app, "/broken/")
    ask(app, "/nothing/")
    assert counted(metrics) == {"GET /users/<int:user>/": 1, "GET /broken/": 1, "GET _unmatched": 1}


def test_default_metrics_are_the_shared_ones() -> None:
    with override_settings(MIDDLEWARE=["perftui.metrics.django.OperationMiddleware"]):
        app = WSGIHandler()
    before = counted(shared()).get("GET /users/<int:user>/", 0)
    ask_wsgi(app, "/users/7/")
    assert counted(shared())["GET /users/<int:user>/"] == before + 1


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("", "/"),
        ("users/<int:pk>/", "/users/<int:pk>/"),
        (r"^users/(?P<pk>[^/.]+)/$", "/users/<pk>/"),
        (r"^users/(?P<pk>\d{3}(?:-[()]\))?)/edit/?$", "/users/<pk>/edit/"),
        (r"^users\.(?P<format>[a-z0-9]+)/?\Z", "/users.<format>/"),
        (r"^([0-9]{4})/(?:page-(?P<page>\d+)/)?$", "/<...>/page-<page>/"),
        (r"^(?i:x)[^]/]+(?=y)\d$", r"/[^]/]+\d"),
        ("^(?P<broken", "/<broken>"),
        ("^(", "/<...>"),
        ("[", "/["),
        ("\\", "/"),
        ("$", "/"),
    ],
)
def test_readable_route(route: str, expected: str) -> None:
    assert readable(route) == expected
