"""Middleware that observes the queries which an ASGI application answers (ASGI HTTP 2.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from perftui.metrics.request_operations import ROUTE
from perftui.metrics.starlette_routes import StarletteRoutes
from perftui.queries.request_observer import Request, RequestObserver, client_of
from perftui.queries.statements import collecting

if TYPE_CHECKING:
    from perftui.queries.optimizer import QueryOptimizer

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SCOPE_KEY = "perftui.queries"
_WHO = frozenset({b"authorization", b"x-api-key", b"x-forwarded-for", b"x-session-id"})


class QueryMiddleware:
    """Observes queries: their parameters, rows, bytes and latency; no values are kept.

    `app.add_middleware(QueryMiddleware, optimizer=optimizer)` with Starlette and FastAPI,
    `app = QueryMiddleware(app, optimizer=optimizer)` with others. `methods` are those that read.
    Observing takes at most the share `budget` of a core; with more traffic whole sessions are left
    out, a minute at a time, and those that are observed stand for them. A client is the product
    that its User-Agent names, or what `client` returns of the scope; a session is told by
    Authorization, X-Api-Key, X-Session-Id, X-Forwarded-For and the peer's address, kept as a hash.
    Where the URL does not tell the query, the application sets `scope["perftui.query"]` to a
    mapping as for `analyze_query`, and `scope["perftui.rows"]` where the answer is not JSON. Of the
    share `explain_share` of observed requests the hooks of databases may have one explained.
    """

    def __init__(
        self,
        app: Application,
        *,
        optimizer: QueryOptimizer,
        budget: float = 0.01,
        explain_share: float = 0.05,
        methods: Collection[str] = ("GET",),
        client: Callable[[Scope], str] | None = None,
    ) -> None:
        self.app = app
        self.observer = RequestObserver(optimizer, budget, explain_share)
        self._methods = frozenset(methods)
        self._client = client
        self._routes = StarletteRoutes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] not in self._methods
            or scope.get(SCOPE_KEY) is not None
        ):
            await self.app(scope, receive, send)
            return
        who = _who(scope)
        weight = self.observer.sampler.choose(who)
        if not weight:
            await self.app(scope, receive, send)
            return
        scope[SCOPE_KEY] = True
        with collecting(self.observer.explains()) as statements:
            request = Request(weight, statements)

            async def watched(message: Message) -> None:
                await send(message)
                if message["type"] == "http.response.start":
                    request.begins(message["status"], *_content(message.get("headers", ())))
                elif message["type"] == "http.response.body":
                    request.chunk(message.get("body", b""))
                    if not message.get("more_body", False):
                        self._finished(request, scope, who)

            await self.app(scope, receive, watched)

    def _finished(self, request: Request, scope: Scope, who: tuple[Any, ...]) -> None:
        template = scope.get(ROUTE) or scope.get("path_template") or self._routes.template(scope)
        client = client_of(_agent(scope)) if self._client is None else self._client(scope)
        self.observer.finished(
            request,
            scope,
            scope["method"],
            template,
            scope["path"],
            scope.get("query_string", b"").decode("utf-8", "replace"),
            client,
            who,
        )


def _who(scope: Scope) -> tuple[Any, ...]:
    peer = scope.get("client")
    told = [value for name, value in scope["headers"] if name in _WHO]
    return (None if peer is None else peer[0], *told)


def _agent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return bytes(value).decode("latin-1")
    return ""


def _content(headers: Any) -> tuple[str, bool]:
    kind, encoded = "", False
    for name, value in headers:
        lower = bytes(name).lower()
        if lower == b"content-type":
            kind = bytes(value).decode("latin-1").lower()
        elif lower == b"content-encoding":
            encoded = bytes(value).lower() != b"identity"
    return kind, encoded
