"""Requests of ASGI applications become calls of operations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from asgi_client import END, LEFT, START, Client, Message, ask
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from perftui.metrics.asgi import OperationMiddleware
from perftui.metrics.execution import ExecutionMetrics, shared
from perftui.metrics.report import OperationCounts


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=None)


def only(metrics: ExecutionMetrics) -> OperationCounts:
    (counts,) = metrics.counts().values()
    return counts


@pytest.mark.parametrize(
    ("status", "failure", "failures"),
    [
        (200, 500, 0),
        (404, 500, 0),
        (499, 500, 0),
        (500, 500, 1),
        (503, 500, 1),
        (404, 400, 1),
        (404, lambda status: status == 404, 1),
        (500, lambda status: status == 404, 0),
        (500, lambda status: 1 / 0, 1),
        (404, lambda status: 1 / 0, 0),
    ],
)
def test_status_decides(
    status: int,
    failure: int | Callable[[int], bool],
    failures: int,
    metrics: ExecutionMetrics,
) -> None:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("", status)

    app = OperationMiddleware(
        Starlette(routes=[Route("/", endpoint)]), metrics=metrics, failure=failure
    )
    assert ask(app, "/").status == status
    assert (only(metrics).count, only(metrics).failures) == (1, failures)


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_exception_is_a_failure_and_goes_on(place: str, metrics: ExecutionMetrics) -> None:
    async def endpoint(request: Request) -> Response:
        raise LookupError("broken")

    app = Starlette(routes=[Route("/boom/{x}", endpoint)])
    measured: Any = app
    if place == "inside":
        app.add_middleware(OperationMiddleware, metrics=metrics)
    else:
        measured = OperationMiddleware(app, metrics=metrics)

    async def run() -> list[Message]:
        client = Client("/boom/1")
        with pytest.raises(LookupError):
            await measured(client.scope, client.receive, client.send)
        return client.sent

    assert asyncio.run(run())[0]["status"] == 500
    assert metrics.counts().keys() == {"GET /boom/{x}"}
    assert (only(metrics).count, only(metrics).failures) == (1, 1)


def test_client_error_raised_by_fastapi_is_a_success(metrics: ExecutionMetrics) -> None:
    app = FastAPI()
    app.add_middleware(OperationMiddleware, metrics=metrics)

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418)

    assert ask(app, "/teapot").status == 418
    assert (only(metrics).count, only(metrics).failures) == (1, 0)


def raw(metrics: ExecutionMetrics, *messages: Message, error: BaseException | None = None) -> Any:
    """Return an application that sends these messages and then returns or raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            if message is LEFT:
                while (await receive())["type"] != "http.disconnect":
                    pass
            else:
                await send(message)
        if error is not None:
            raise error

    return OperationMiddleware(app, metrics=metrics)


MORE = {"type": "http.response.body", "body": b"a", "more_body": True}
PROMISE = {**START, "trailers": True}
TRAILERS = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
SOME_TRAILERS = {**TRAILERS, "more_trailers": True}
PATH = {"type": "http.response.pathsend", "path": "/etc/hostname"}
ZERO_COPY = {"type": "http.response.zerocopysend", "file": 3}


@pytest.mark.parametrize(
    ("messages", "error", "outcome"),
    [
        ((START, END), None, "success"),
        ((START, MORE, MORE, END), None, "success"),
        ((PROMISE, END, SOME_TRAILERS, TRAILERS), None, "success"),
        ((START, PATH), None, "success"),
        ((START, MORE, ZERO_COPY), None, "success"),
        ((), None, "failure"),
        ((START,), None, "failure"),
        ((START, MORE), None, "failure"),
        ((PROMISE, END, SOME_TRAILERS), None, "failure"),
        ((START, MORE), ValueError(), "failure"),
        ((), ValueError(), "failure"),
        ((), SystemExit(1), "failure"),
        ((START, MORE), asyncio.CancelledError(), "cancelled"),
        ((), asyncio.CancelledError(), "cancelled"),
        ((START, END), ValueError("in a background task"), "success"),
        ((START, END), asyncio.CancelledError(), "success"),
    ],
)
def test_outcomes(
    messages: tuple[Message, ...],
    error: BaseException | None,
    outcome: str,
    metrics: ExecutionMetrics,
) -> None:
    app = raw(metrics, *messages, error=error)

    async def run() -> None:
        client = Client("/")
        raised: BaseException | None = None
        try:
            await app(client.scope, client.receive, client.send)
        except BaseException as left:
            raised = left
        assert raised is error
        assert client.sent == list(messages)

    asyncio.run(run())
    counts = only(metrics)
    assert {
        "success": (counts.count, counts.failures, counts.cancelled) == (1, 0, 0),
        "failure": (counts.count, counts.failures, counts.cancelled) == (1, 1, 0),
        "cancelled": (counts.count, counts.failures, counts.cancelled) == (0, 0, 1),
    }[outcome], counts


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ((LEFT,), None),
        ((START, MORE, LEFT), None),
        ((START, MORE, LEFT, END), None),
        ((START, LEFT), RuntimeError("the client left")),
    ],
)
def test_client_that_leaves_cancels(
    messages: tuple[Message, ...], error: Exception | None, metrics: ExecutionMetrics
) -> None:
    app = raw(metrics, *messages, error=error)

    async def run() -> None:
        client = Client("/")
        client.inbox.put_nowait(LEFT)
        with contextlib.suppress(RuntimeError):
            await app(client.scope, client.receive, client.send)

    asyncio.run(run())
    assert (only(metrics).count, only(metrics).cancelled) == (0, 1)


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_streaming_to_a_client_that_leaves(version: str, metrics: ExecutionMetrics) -> None:
    async def parts() -> Any:
        while True:
            yield b"part"
            await asyncio.sleep(0)

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(parts())

    app = OperationMiddleware(Starlette(routes=[Route("/s", endpoint)]), metrics=metrics)

    class Leaving(Client):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if len(self.sent) > 3:
                # How servers tell it, before version 2.4 of the specification and since.
                if version == "2.4":
                    raise OSError("the client left")
                self.inbox.put_nowait(LEFT)

    async def run() -> None:
        client = Leaving("/s")
        client.scope["asgi"]["spec_version"] = version
        with contextlib.suppress(Exception):
            await asyncio.wait_for(app(client.scope, client.receive, client.send), 10)

    asyncio.run(run())
    assert metrics.counts().keys() == {"GET /s"}
    assert (only(metrics).count, only(metrics).cancelled) == (0, 1)


def test_time_is_that_of_the_whole_body_without_background_tasks(
    metrics: ExecutionMetrics,
) -> None:
    counted: list[int] = []

    async def parts() -> Any:
        for _ in range(3):
            yield b"part"
            await asyncio.sleep(0.02)

    async def afterwards() -> None:
        counted.append(only(metrics).count)
        await asyncio.sleep(0.5)

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(parts(), background=BackgroundTask(afterwards))

    app = OperationMiddleware(Starlette(routes=[Route("/", endpoint)]), metrics=metrics)
    ask(app, "/")
    assert counted == [1]
    assert 0.05 < only(metrics).seconds < 0.5


def test_requests_at_the_same_time(metrics: ExecutionMetrics) -> None:
    arrived = asyncio.Barrier(20)

    async def endpoint(request: Request) -> Response:
        await arrived.wait()
        return PlainTextResponse("", 500 if request.path_params["x"] == "odd" else 200)

    app = OperationMiddleware(Starlette(routes=[Route("/{x}", endpoint)]), metrics=metrics)

    async def run() -> None:
        clients = [Client("/odd" if number % 4 == 0 else "/even") for number in range(20)]
        await asyncio.gather(*(app(c.scope, c.receive, c.send) for c in clients))

    asyncio.run(run())
    assert (only(metrics).count, only(metrics).failures) == (20, 5)


def test_websocket_and_lifespan_pass_through(metrics: ExecutionMetrics) -> None:
    started: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        started.append("up")
        yield
        started.append("down")

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    app = OperationMiddleware(
        Starlette(routes=[WebSocketRoute("/talk", talk)], lifespan=lifespan), metrics=metrics
    )

    async def run(scope: dict[str, Any], *incoming: Message) -> list[str]:
        inbox = list(incoming)
        sent: list[str] = []

        async def receive() -> Message:
            return inbox.pop(0)

        async def send(message: Message) -> None:
            sent.append(message["type"])

        await app(scope, receive, send)
        return sent

    websocket = {**Client("/talk").scope, "type": "websocket", "subprotocols": []}
    del websocket["method"]
    assert asyncio.run(run(websocket, {"type": "websocket.connect"})) == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    asyncio.run(
        run(
            {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}},
            {"type": "lifespan.startup"},
            {"type": "lifespan.shutdown"},
        )
    )
    assert started == ["up", "down"]
    assert not metrics.counts()


def test_nested_middlewares_count_a_request_once(metrics: ExecutionMetrics) -> None:
    others = ExecutionMetrics(registry=None)
    inner = FastAPI()
    inner.add_middleware(OperationMiddleware, metrics=metrics)
    inner.add_middleware(OperationMiddleware, metrics=others)
    inner.get("/x")(lambda: "x")
    outer = FastAPI()
    outer.add_middleware(OperationMiddleware, metrics=metrics)
    outer.mount("/inner", inner)
    ask(outer, "/inner/x")
    assert {name: c.count for name, c in metrics.counts().items()} == {"GET /inner/x": 1}
    assert {name: c.count for name, c in others.counts().items()} == {"GET /inner/x": 1}


def test_default_metrics_are_the_shared_ones() -> None:
    before = shared().counts().get("GET _unmatched", OperationCounts(0, 0, 0.0)).count
    ask(OperationMiddleware(Starlette()), "/nothing")
    assert shared().counts()["GET _unmatched"].count == before + 1
