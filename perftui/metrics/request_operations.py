"""How a finished request becomes a call of an operation, the same for ASGI, WSGI and Django.

The operation is the method and the template of the route, "GET /users/{id}", never the path that a
client sent. What no route matched is "GET _unmatched"; a method that RFC 9110 or RFC 5789 does not
know is "_other", because a client may invent as many as it likes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Generic, TypeAlias, TypeVar

from perftui.metrics.tracking import Recorder

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
UNMATCHED = "_unmatched"
OTHER_METHOD = "_other"
FAILURE_STATUS = 500

MEASURED = "perftui.measured"
"""Where scope or environ lists the metrics that count this request already."""
ROUTE = "perftui.route"
"""Where scope or environ may carry the template that something inside the application knows."""

LOST = "a request could not be counted"

Failure: TypeAlias = int | Callable[[int], bool]
"""The lowest status that is a failure, or a function that tells it of a status."""

R = TypeVar("R")

_logger = logging.getLogger("perftui.metrics")


class RequestRecorder(Generic[R]):
    """Names the operation of a request and counts it.

    `route` is asked first for the template, then `find`; None means that neither knows. A fault in
    one of them, in `failure` or in the metrics is logged once with its traceback; the request is
    counted as unmatched, judged by the default threshold or lost, and the service goes on.
    """

    __slots__ = ("_failure", "_faulty", "_find", "_route", "metrics")

    def __init__(
        self,
        metrics: Recorder,
        find: Callable[[R], str | None],
        route: Callable[[R], str | None] | None = None,
        failure: Failure = FAILURE_STATUS,
    ) -> None:
        self.metrics = metrics
        self._find = find
        self._route = route
        self._failure = failure
        self._faulty = False

    def template(self, request: R) -> str | None:
        """Return the template of the request's route, None where nobody knows one."""
        try:
            template = self._route(request) if self._route is not None else None
            if template is None:
                template = self._find(request)
            return None if template is None else str(template)
        except Exception:
            self._complain("the route of a request could not be told; it counts as _unmatched")
            return None

    def answered(self, method: str, template: str | None, seconds: float, status: int) -> None:
        """Count a request whose response was sent to its end."""
        self._finished(method, template, seconds, not self._fails(status))

    def unanswered(
        self,
        method: str,
        template: str | None,
        seconds: float,
        error: BaseException | None = None,
    ) -> None:
        """Count a request whose response never came to its end, because of `error` if there is one.

        An exception that calls the request off makes it cancelled: CancelledError, GeneratorExit
        and their like. SystemExit does not, since with it a server ends a worker that is too slow.
        """
        if error is None or isinstance(error, (Exception, SystemExit, KeyboardInterrupt)):
            self._finished(method, template, seconds, False)
        else:
            self.cancelled(method, template)

    def cancelled(self, method: str, template: str | None) -> None:
        """Count a request that its client or the server gave up."""
        try:
            self.metrics.record_cancellation(operation(method, template))
        except Exception:
            self._complain(LOST)

    def _finished(self, method: str, template: str | None, seconds: float, success: bool) -> None:
        try:
            self.metrics.record_execution(operation(method, template), seconds, success)
        except Exception:
            # The files of multi-process mode may be gone; the client shall have its answer.
            self._complain(LOST)

    def _fails(self, status: int) -> bool:
        if isinstance(self._failure, int):
            return status >= self._failure
        try:
            return bool(self._failure(status))
        except Exception:
            self._complain(f"failure() raised for status {status}; 500 and above count as failures")
            return status >= FAILURE_STATUS

    def _complain(self, what: str) -> None:
        if not self._faulty:
            self._faulty = True
            _logger.exception("%s (said once)", what)


def claim(carrier: MutableMapping[str, Any], metrics: Recorder) -> bool:
    """Mark a scope or environ as counted by the metrics; False when it is so already."""
    counting = carrier.get(MEASURED, ())
    if any(each is metrics for each in counting):
        return False
    carrier[MEASURED] = (*counting, metrics)
    return True


def operation(method: str, template: str | None) -> str:
    """Return the operation of a method and a template; an empty template is the root."""
    if method not in METHODS:
        method = OTHER_METHOD
    return f"{method} {UNMATCHED if template is None else template or '/'}"
