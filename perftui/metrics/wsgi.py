"""Middleware that counts and times the requests of a WSGI application by route (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from perftui.metrics.execution import shared
from perftui.metrics.request_operations import (
    FAILURE_STATUS,
    ROUTE,
    Failure,
    RequestRecorder,
    claim,
)
from perftui.metrics.tracking import Recorder

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TypeAlias
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo: TypeAlias = (
        tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    )

MOST_WRAPPERS = 8
"""Middlewares around an application that are looked through for werkzeug's dispatcher."""
FILE_WRAPPER = "wsgi.file_wrapper"
ENTRY_SCRIPT = "perftui.script_name"
"""SCRIPT_NAME as it was before the application saw it."""


class OperationMiddleware:
    """Counts every request as a call of the operation "METHOD route template".

    Use `app = OperationMiddleware(app)`, or with Flask, where `app` has to stay what it is,
    `app.wsgi_app = OperationMiddleware(app.wsgi_app)`. Templates of Flask are found, also below
    werkzeug's DispatcherMiddleware; for others `route` takes the environ and returns the template
    or None, or the application sets `environ["perftui.route"]`. They are asked when the response
    starts and, if nobody knew then, once more at its end. No route: "GET _unmatched". Django has a
    middleware of its own in perftui.metrics.django, because it keeps its routes to itself.

    The time runs until the server calls `close()` on the response; what the application does in
    its own `close()` comes after it. A failure is a status of `failure` or above (or for which
    `failure(status)` is true), an exception that leaves the application or its iterable, and a
    response that never starts. So by default 4xx is a success: the service did what it should. A
    response that the server closes before its end is counted as cancelled: the client has left.

    A `wsgi.file_wrapper` object goes to the server as it is; one that does not let itself be
    watched ends the measurement when it is returned. `metrics` defaults to the ExecutionMetrics
    that the Reporter publishes.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        metrics: Recorder | None = None,
        route: Callable[[WSGIEnvironment], str | None] | None = None,
        failure: Failure = FAILURE_STATUS,
    ) -> None:
        self.app = app
        self._metrics = shared() if metrics is None else metrics
        self._recorder = RequestRecorder[dict[str, Any]](self._metrics, self._find, route, failure)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not claim(environ, self._metrics):
            return self.app(environ, start_response)
        environ[ENTRY_SCRIPT] = environ.get("SCRIPT_NAME", "")
        exchange = _Exchange(self._recorder, environ, start_response)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException as error:
            exchange.broken(error)
            raise
        return exchange.watch(body)

    def _find(self, environ: dict[str, Any]) -> str | None:
        template: str | None = environ.get(ROUTE)
        if template is not None:
            return template
        try:
            template = environ["werkzeug.request"].url_rule.rule
        except (KeyError, AttributeError):
            # Not Flask, no rule matched, or Flask has already taken the request away.
            return None
        added = environ.get("SCRIPT_NAME", "").removeprefix(environ[ENTRY_SCRIPT])
        return f"{added}{template}" if added and _is_mount(self.app, added) else template


def _is_mount(app: Any, added: str) -> bool:
    """Tell whether dispatchers mount something at the path, which else may come from the client."""
    for wrapper in _chain(app):
        try:
            mounts = wrapper.mounts
        except AttributeError:
            continue
        if isinstance(mounts, Mapping):
            for path, inner in mounts.items():
                if added == path:
                    return True
                if path and added.startswith(path) and _is_mount(inner, added.removeprefix(path)):
                    return True
    return False


def _chain(app: Any) -> Iterator[Any]:
    """Yield an application and what it wraps as `wsgi_app`, as Flask does, or as `app`."""
    for _ in range(MOST_WRAPPERS):
        yield app
        try:
            app = app.wsgi_app
        except AttributeError:
            try:
                app = app.app
            except AttributeError:
                return


class _Exchange:
    """One request, from the call of the application to the end of its response."""

    __slots__ = (
        "_done",
        "_environ",
        "_file",
        "_file_wrapper",
        "_recorder",
        "_start",
        "_started",
        "_status",
        "_template",
    )

    def __init__(
        self,
        recorder: RequestRecorder[dict[str, Any]],
        environ: dict[str, Any],
        start_response: StartResponse,
    ) -> None:
        self._recorder = recorder
        self._environ = environ
        self._start = start_response
        self._status: int | None = None
        self._template: str | None = None
        self._done = False
        self._file: object = None
        self._file_wrapper = environ.get(FILE_WRAPPER)
        if self._file_wrapper is not None and not isinstance(self._file_wrapper, type):
            # uWSGI and mod_wsgi give a function; what it returns cannot be told by its type.
            environ[FILE_WRAPPER] = self._wrap_file
        self._started = perf_counter()

    def _wrap_file(self, *arguments: Any) -> object:
        self._file = cast("Any", self._file_wrapper)(*arguments)
        return self._file

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        self._status = int(status[:3]) if status[:3].isdigit() else None
        if self._template is None:
            # Flask forgets the request before the response is closed.
            self._template = self._recorder.template(self._environ)
        if exc_info is None:
            return self._start(status, headers)
        return self._start(status, headers, exc_info)

    def watch(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server is to send: the body, in a form that tells its end."""
        wrapper = self._file_wrapper
        if body is self._file or (isinstance(wrapper, type) and isinstance(body, wrapper)):
            # Servers send such an object in a way of their own, and only this very object.
            self._watch_file(body)
            return body
        if isinstance(body, (list, tuple)):
            return _SizedBody(self, body)
        return _Body(self, body)

    def _watch_file(self, file: Any) -> None:
        try:
            close = file.close
        except AttributeError:
            close = None

        def ended() -> None:
            self.closed(complete=True)
            if close is not None:
                close()

        try:
            file.close = ended
        except (AttributeError, TypeError):
            self.closed(complete=True)

    def broken(self, error: BaseException) -> None:
        """Take note that an exception left the application or its iterable."""
        if not self._done:
            self._done = True
            self._unanswered(error)

    def closed(self, complete: bool) -> None:
        """Take note that the server is done with the body."""
        if self._done:
            return
        self._done = True
        if self._status is None:
            self._unanswered(None)
        elif complete or self._method == "HEAD":
            seconds = perf_counter() - self._started
            self._recorder.answered(self._method, self._route(), seconds, self._status)
        else:
            self._recorder.cancelled(self._method, self._route())

    def _unanswered(self, error: BaseException | None) -> None:
        seconds = perf_counter() - self._started
        self._recorder.unanswered(self._method, self._route(), seconds, error)

    @property
    def _method(self) -> str:
        return str(self._environ["REQUEST_METHOD"])

    def _route(self) -> str | None:
        if self._template is None:
            self._template = self._recorder.template(self._environ)
        return self._template


class _Body:
    """The response's iterable as the server sees it."""

    def __init__(self, exchange: _Exchange, iterable: Iterable[bytes]) -> None:
        self._exchange = exchange
        self._iterable = iterable
        self._iterator: Iterator[bytes] | None = None
        self._complete = False
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            return next(self._iterator)
        except StopIteration:
            self._complete = True
            raise
        except BaseException as error:
            self._exchange.broken(error)
            raise

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._exchange.closed(self._complete)
        try:
            close = cast("Any", self._iterable).close
        except AttributeError:
            return
        close()


class _SizedBody(_Body):
    """A list of parts; its length lets servers tell the length of the response."""

    def __init__(self, exchange: _Exchange, parts: list[bytes] | tuple[bytes, ...]) -> None:
        super().__init__(exchange, parts)
        self._left = self._size = len(parts)

    def __len__(self) -> int:
        return self._size

    def __next__(self) -> bytes:
        part = super().__next__()
        self._left -= 1
        self._complete = self._left <= 0
        return part
