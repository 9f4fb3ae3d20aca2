"""Counts the requests of ASGI and WSGI applications as a server's requests at work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, TypeAlias

from perftui.pool.requests_at_work import RequestAtWork, RequestsAtWork

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
WsgiApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FAILURE_STATUS = 500


class AsgiCounter:
    """An ASGI application whose HTTP requests are counted."""

    def __init__(self, app: AsgiApp, requests: RequestsAtWork) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with RequestAtWork(self._requests) as request:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.ok = int(message["status"]) < FAILURE_STATUS
                await send(message)

            await self._app(scope, receive, watched)


class WsgiCounter:
    """A WSGI application whose requests are counted until their bodies are closed (PEP 3333)."""

    def __init__(self, app: WsgiApp, requests: RequestsAtWork) -> None:
        self._app = app
        self._requests = requests

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Body:
        request = RequestAtWork(self._requests)
        request.__enter__()

        def watched(status: str, *words: Any) -> Any:
            request.ok = int(status[:3]) < FAILURE_STATUS
            return start_response(status, *words)

        try:
            return Body(self._app(environ, watched), request)
        except BaseException as error:
            request.__exit__(type(error), error, None)
            raise


class Body:
    """A response whose end is the end of the request."""

    def __init__(self, body: Iterable[bytes], request: RequestAtWork) -> None:
        self._body = body
        self._request: RequestAtWork | None = request

    def __iter__(self) -> Iterator[bytes]:
        request = self._request
        try:
            yield from self._body
        except Exception:
            if request is not None:
                request.ok = False
            raise

    def close(self) -> None:
        """End the request; a server calls it also when the client has gone."""
        request, self._request = self._request, None
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            if request is not None:
                request.__exit__(None, None, None)
