"""Middleware that counts and times the requests of a Django project by route.

Django gives neither a server nor a middleware around it its routes, so this one belongs into the
setting MIDDLEWARE. It works under WSGI and ASGI, and adapts to synchronous and asynchronous
neighbours as https://docs.djangoproject.com/en/5.2/topics/http/middleware/ asks for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from perftui.metrics.execution import shared
from perftui.metrics.request_operations import (
    FAILURE_STATUS,
    ROUTE,
    Failure,
    RequestRecorder,
    claim,
)
from perftui.metrics.tracking import Recorder
from perftui.metrics.url_patterns import readable

FILE_WRAPPER = "wsgi.file_wrapper"


class OperationMiddleware:
    """Counts every request as a call of the operation "METHOD route", "GET /users/<int:id>/".

    Put "perftui.metrics.django.OperationMiddleware" first into MIDDLEWARE, so that the others are
    measured too. A request that no URL pattern matches, or that a middleware answers before the
    patterns are tried, is "GET _unmatched".

    The time runs until Django has the response, of a streaming one until its content ends or is
    closed. A failure is a status of 500 or above, which is also what Django makes of an exception,
    and an exception in streamed content. So 4xx is a success: the service did what it should. A
    request whose client left before the end is counted as cancelled. Subclass and pass `route`
    (takes the request, returns the template or None), `failure` (lowest status, or a function that
    tells of a status) or `metrics` for other rules; `metrics` defaults to the ExecutionMetrics that
    the Reporter publishes.

    Inside an OperationMiddleware for ASGI or WSGI with the same metrics this one only tells that
    one the route.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[[Any], Any],
        *,
        metrics: Recorder | None = None,
        route: Callable[[Any], str | None] | None = None,
        failure: Failure = FAILURE_STATUS,
    ) -> None:
        self._get_response = get_response
        self._metrics = shared() if metrics is None else metrics
        self._recorder = RequestRecorder[Any](self._metrics, _find, route, failure)
        self._asynchronous = iscoroutinefunction(get_response)
        if self._asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self._asynchronous:
            return self._answer_later(request)
        exchange = self._exchange(request)
        try:
            response = self._get_response(request)
        except BaseException as error:
            exchange.broken(error)
            raise
        exchange.watch(response)
        return response

    async def _answer_later(self, request: Any) -> Any:
        exchange = self._exchange(request)
        try:
            response = await self._get_response(request)
        except BaseException as error:
            exchange.broken(error)
            raise
        exchange.watch(response)
        return response

    def _exchange(self, request: Any) -> _Exchange:
        try:
            outside = request.scope
        except AttributeError:
            outside = request.META
        if claim(outside, self._metrics):
            return _Exchange(self._recorder, request)
        return _ToldExchange(self._recorder, request, outside)


def _find(request: Any) -> str | None:
    match = request.resolver_match
    return None if match is None else readable(match.route)


class _Exchange:
    """One request, from the middleware's call to the end of its response."""

    def __init__(self, recorder: RequestRecorder[Any], request: Any) -> None:
        self._recorder = recorder
        self._request = request
        self._done = False
        self._status = 0
        self._started = perf_counter()

    def watch(self, response: Any) -> None:
        """Take note of a response that Django has; a streaming one is still to be produced."""
        self._status = response.status_code
        if not response.streaming:
            self._answered()
            return
        close = response.close

        def closed() -> None:
            self._closed(sent_as_file)
            close()

        sent_as_file = FILE_WRAPPER in self._request.META and _is_file(response)
        if not sent_as_file:
            content = response.streaming_content
            # Giving a file new content would keep the server from sending it in its own way.
            response.streaming_content = (
                self._later_parts(content) if response.is_async else self._parts(content)
            )
        response.close = closed

    def broken(self, error: BaseException) -> None:
        """Take note that an exception left Django or the content of a response."""
        if not self._done:
            self._done = True
            seconds = perf_counter() - self._started
            self._recorder.unanswered(self._request.method, self._route(), seconds, error)

    def _parts(self, content: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from content
        except BaseException as error:
            self.broken(error)
            raise
        self._answered()

    async def _later_parts(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for part in content:
                yield part
        except BaseException as error:
            self.broken(error)
            raise
        self._answered()

    def _closed(self, complete: bool) -> None:
        if complete or self._request.method == "HEAD":
            self._answered()
        elif not self._done:
            self._done = True
            self._recorder.cancelled(self._request.method, self._route())

    def _answered(self) -> None:
        if not self._done:
            self._done = True
            seconds = perf_counter() - self._started
            method, route = self._request.method, self._route()
            self._recorder.answered(method, route, seconds, self._status)

    def _route(self) -> str | None:
        return self._recorder.template(self._request)


class _ToldExchange(_Exchange):
    """A request that a middleware around Django measures, which only has to learn the route."""

    def __init__(
        self, recorder: RequestRecorder[Any], request: Any, outside: MutableMapping[str, Any]
    ) -> None:
        super().__init__(recorder, request)
        self._outside = outside

    def watch(self, response: Any) -> None:
        self._tell()

    def broken(self, error: BaseException) -> None:
        self._tell()

    def _tell(self) -> None:
        template = self._route()
        if template is not None:
            self._outside[ROUTE] = template


def _is_file(response: Any) -> bool:
    try:
        return response.file_to_stream is not None
    except AttributeError:
        return False
