"""Middleware that counts and times the requests of an ASGI application by route.

Follows the ASGI specification, HTTP and WebSocket ASGI Message Format 2.5 with its extensions for
trailers, path send and zero copy send. Imports no framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, TypeAlias

from perftui.metrics.execution import shared
from perftui.metrics.request_operations import (
    FAILURE_STATUS,
    ROUTE,
    Failure,
    RequestRecorder,
    claim,
)
from perftui.metrics.starlette_routes import StarletteRoutes
from perftui.metrics.tracking import Recorder

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class OperationMiddleware:
    """Counts every HTTP request as a call of the operation "METHOD route template".

    Use `app.add_middleware(OperationMiddleware)` with Starlette and FastAPI, and
    `app = OperationMiddleware(app)` with any ASGI application. Templates of Starlette, FastAPI and
    Litestar are found; for others `route` takes the scope after the application ran and returns the
    template or None, or the application sets `scope["perftui.route"]`. No route: "GET _unmatched".

    The time runs until the last message of the response is sent; background tasks come after it.
    A failure is a status of `failure` or above (or for which `failure(status)` is true), an
    exception that leaves the application before the response is complete, and a response that
    never gets complete. So by default 4xx is a success: the service did what it should. A request
    whose client left before the end, or whose task was cancelled, is counted as cancelled.

    WebSocket and lifespan pass through unmeasured: how long a connection stays open says nothing
    about the service. At the end of the lifespan the Reporters send what may be their last report,
    because uvicorn then ends by the signal that it got, without a word to the interpreter.
    Inside another OperationMiddleware with the same metrics this one rests.
    `metrics` defaults to the ExecutionMetrics that the Reporter publishes.
    """

    def __init__(
        self,
        app: Application,
        *,
        metrics: Recorder | None = None,
        route: Callable[[Scope], str | None] | None = None,
        failure: Failure = FAILURE_STATUS,
    ) -> None:
        self.app = app
        self._metrics = shared() if metrics is None else metrics
        self._routes = StarletteRoutes()
        self._recorder = RequestRecorder[Scope](self._metrics, self._find, route, failure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, _leaving(send))
            return
        if scope["type"] != "http" or not claim(scope, self._metrics):
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self._recorder, scope, receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.ended(error)
            raise
        exchange.ended()

    def _find(self, scope: Scope) -> str | None:
        # Litestar and what measures inside say it outright.
        template: str | None = scope.get(ROUTE) or scope.get("path_template")
        return self._routes.template(scope) if template is None else template


class _Exchange:
    """One request, watched from both sides."""

    __slots__ = (
        "_client_left",
        "_done",
        "_receive",
        "_recorder",
        "_scope",
        "_send",
        "_started",
        "_status",
        "_trailers",
    )

    def __init__(
        self, recorder: RequestRecorder[Scope], scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._recorder = recorder
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._trailers = False
        self._client_left = False
        self._done = False
        self._started = perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._client_left = True
        return message

    async def send(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            # Since version 2.4 of the specification this is how a server says it.
            self._client_left = True
            raise
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            self._trailers = message.get("trailers", False)
        elif _ends(kind, message, self._trailers):
            self.ended(complete=True)

    def ended(self, error: BaseException | None = None, *, complete: bool = False) -> None:
        """Take note of a complete response, or that the application returned or raised before."""
        if self._done:
            return
        self._done = True
        seconds = perf_counter() - self._started
        method, template = self._scope["method"], self._recorder.template(self._scope)
        if self._client_left:
            self._recorder.cancelled(method, template)
        elif complete:
            self._recorder.answered(method, template, seconds, self._status)
        else:
            self._recorder.unanswered(method, template, seconds, error)


def _leaving(send: Send) -> Send:
    """Return a `send` for a lifespan, at whose end the Reporters take leave."""

    async def told(message: Message) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            from perftui.metrics.reporter_hooks import take_leave

            take_leave()
        await send(message)

    return told


def _ends(kind: str, message: Message, trailers: bool) -> bool:
    if trailers:
        return kind == "http.response.trailers" and not message.get("more_trailers", False)
    if kind in ("http.response.body", "http.response.zerocopysend"):
        return not message.get("more_body", False)
    return kind == "http.response.pathsend"
