"""Middleware that observes the queries which a WSGI application answers (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from perftui.metrics.request_operations import ROUTE
from perftui.queries.request_observer import Request, RequestObserver, client_of
from perftui.queries.statements import Statements, collecting

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from perftui.queries.optimizer import QueryOptimizer

ENVIRON_KEY = "perftui.queries"
FILE_WRAPPER = "wsgi.file_wrapper"
_WHO = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_X_FORWARDED_FOR", "HTTP_X_SESSION_ID")


class QueryMiddleware:
    """Observes queries: their parameters, rows, bytes and latency; no values are kept.

    `app.wsgi_app = QueryMiddleware(app.wsgi_app, optimizer=optimizer)` with Flask,
    `application = QueryMiddleware(application, optimizer=optimizer)` with others, Django too. The
    rest is as in `perftui.queries.asgi.QueryMiddleware`, with the environ for the scope.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        optimizer: QueryOptimizer,
        budget: float = 0.01,
        explain_share: float = 0.05,
        methods: Collection[str] = ("GET",),
        client: Callable[[WSGIEnvironment], str] | None = None,
    ) -> None:
        self.app = app
        self.observer = RequestObserver(optimizer, budget, explain_share)
        self._methods = frozenset(methods)
        self._client = client

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in self._methods or environ.get(ENVIRON_KEY):
            return self.app(environ, start_response)
        who = (environ.get("REMOTE_ADDR"), *(environ.get(name) for name in _WHO))
        weight = self.observer.sampler.choose(who)
        if not weight:
            return self.app(environ, start_response)
        environ[ENVIRON_KEY] = True
        gathering = collecting(self.observer.explains())
        request = Request(weight, gathering.__enter__())
        answer = _Answer(self, environ, request, gathering, who, start_response)
        try:
            body = self.app(environ, answer.start_response)
        except BaseException:
            answer.end()
            raise
        wrapper = environ.get(FILE_WRAPPER)
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            # A server sends a file in its own way; it holds no rows.
            answer.end()
            return body
        answer.body = body
        return answer

    def finished(self, request: Request, environ: WSGIEnvironment, who: tuple[Any, ...]) -> None:
        """Count a request whose answer was taken to its end."""
        agent = environ.get("HTTP_USER_AGENT", "")
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.observer.finished(
            request,
            environ,
            environ["REQUEST_METHOD"],
            environ.get(ROUTE) or environ.get("perftui.rule"),
            path.encode("latin-1", "replace").decode("utf-8", "replace"),
            environ.get("QUERY_STRING", ""),
            client_of(agent) if self._client is None else self._client(environ),
            who,
        )


class _Answer:
    """The iterable that the server takes, which notes what goes through it."""

    def __init__(
        self,
        middleware: QueryMiddleware,
        environ: WSGIEnvironment,
        request: Request,
        gathering: AbstractContextManager[Statements],
        who: tuple[Any, ...],
        start_response: StartResponse,
    ) -> None:
        self._middleware = middleware
        self._environ = environ
        self._request = request
        self._gathering: AbstractContextManager[Statements] | None = gathering
        self._who = who
        self._start_response = start_response
        self._iterator: Iterator[bytes] | None = None
        self._complete = False
        self.body: Iterable[bytes] = ()

    def start_response(self, status: str, headers: Any, *exc_info: Any) -> Any:
        kind, encoded = "", False
        for name, value in headers:
            if name.lower() == "content-type":
                kind = value.lower()
            elif name.lower() == "content-encoding":
                encoded = value.lower() != "identity"
        self._request.begins(int(status[:3]), kind, encoded)
        try:
            # Flask takes its request away before the body is sent.
            self._environ["perftui.rule"] = self._environ["werkzeug.request"].url_rule.rule
        except (KeyError, AttributeError):
            self._environ["perftui.rule"] = None
        write = self._start_response(status, headers, *exc_info)

        def noted(part: bytes) -> object:
            self._request.chunk(part)
            return write(part)

        return noted

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self.body)
        try:
            part = next(self._iterator)
        except StopIteration:
            self._complete = True
            raise
        self._request.chunk(part)
        return part

    def close(self) -> None:
        try:
            close = cast("Any", self.body).close
        except AttributeError:
            close = None
        try:
            if close is not None:
                close()
        finally:
            self.end()
            if self._complete:
                self._middleware.finished(self._request, self._environ, self._who)

    def end(self) -> None:
        """Gather no more statements."""
        gathering, self._gathering = self._gathering, None
        if gathering is not None:
            gathering.__exit__(None, None, None)
