"""Measuring a block or a function as one call of an operation."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger("perftui.metrics")
_told_of_loss = False


class Recorder(Protocol):
    """Where finished and cancelled calls go; durations are in seconds."""

    def record_execution(self, operation: str, duration: float, success: bool) -> None: ...

    def record_cancellation(self, operation: str) -> None: ...


class Measurement:
    """One call of an operation, from now until it ends."""

    __slots__ = ("_operation", "_recorder", "_started", "ended", "outer", "tracker")

    def __init__(
        self,
        recorder: Recorder,
        operation: str,
        tracker: Tracker | None = None,
        outer: Measurement | None = None,
    ) -> None:
        self._recorder = recorder
        self._operation = operation
        self.tracker = tracker
        self.outer = outer
        self.ended = False
        self._started = perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._started
        self.ended = True
        try:
            if kind is not None and is_cancellation(kind):
                self._recorder.record_cancellation(self._operation)
            else:
                self._recorder.record_execution(self._operation, seconds, kind is None)
        except Exception:
            # The files of multi-process mode may be gone; what was measured has its own outcome.
            _tell_of_loss(self._operation)


_innermost: ContextVar[Measurement | None] = ContextVar("perftui_innermost", default=None)
"""The block of a tracker that this thread or task entered last, linked to those around it."""


class Tracker:
    """Measures blocks (`with`, `async with`) and functions (as a decorator).

    One tracker may be used again, nested in itself, and by many threads and tasks at once. What is
    measured: a block from entry to exit; a function's call; a coroutine function from its first
    step to its end, waiting included; a generator or asynchronous generator from the first item
    asked for to its end, the time the consumer keeps it waiting included. An exception that leaves
    is a failure. Cancellation (of the task, of a future that was waited for, or a generator closed
    before its end) is neither success nor failure and is counted apart, without a duration. What
    cannot be counted, as without the files of multi-process mode, is logged once and lost.
    """

    __slots__ = ("_open", "_operation", "_recorder")

    def __init__(self, recorder: Recorder, operation: str) -> None:
        self._recorder = recorder
        self._operation = operation
        self._open: dict[Measurement, None] = {}

    def __enter__(self) -> None:
        outer = _innermost.get()
        while outer is not None and outer.ended:
            outer = outer.outer
        measurement = Measurement(self._recorder, self._operation, self, outer)
        self._open[measurement] = None
        _innermost.set(measurement)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        measurement = _innermost.get()
        while measurement is not None and (measurement.ended or measurement.tracker is not self):
            measurement = measurement.outer
        if measurement is None:
            # Entered in another context, as in a generator that a thread pool steps through.
            try:
                measurement, _ = self._open.popitem()
            except KeyError:
                raise RuntimeError(
                    f"the block of operation {self._operation!r} was not entered"
                ) from None
        else:
            # Such a generator on another thread may have taken it at this moment.
            self._open.pop(measurement, None)
        measurement.__exit__(kind, error, traceback)
        innermost = _innermost.get()
        while innermost is not None and innermost.ended:
            innermost = innermost.outer
        _innermost.set(innermost)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function measured, of the same kind as it was.

        Raises TypeError for a class and for what cannot be called, such as a property.
        """
        if isinstance(function, staticmethod | classmethod):
            return cast("Callable[P, R]", type(function)(self(function.__func__)))
        if isinstance(function, type) or not callable(function):
            raise TypeError(
                f"track() measures functions and blocks, got {repr(function)[:80]}; "
                "put it below @property, and on a method of a class"
            )
        measured: Callable[..., Any]
        if inspect.isasyncgenfunction(function):
            measured = self._of_async_generator(function)
        elif inspect.isgeneratorfunction(function):
            measured = self._of_generator(function)
        elif inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            function.__call__  # type: ignore[operator]
        ):
            measured = self._of_coroutine(function)
        else:
            measured = self._of_function(function)
        return cast("Callable[P, R]", functools.wraps(function)(measured))

    def _of_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        recorder, operation = self._recorder, self._operation

        def call(*args: Any, **kwargs: Any) -> Any:
            with Measurement(recorder, operation):
                return function(*args, **kwargs)

        return call

    def _of_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        recorder, operation = self._recorder, self._operation

        async def call(*args: Any, **kwargs: Any) -> Any:
            with Measurement(recorder, operation):
                return await function(*args, **kwargs)

        return call

    def _of_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        recorder, operation = self._recorder, self._operation

        def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with Measurement(recorder, operation):
                return (yield from function(*args, **kwargs))

        return call

    def _of_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        recorder, operation = self._recorder, self._operation

        async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with Measurement(recorder, operation):
                inner = function(*args, **kwargs)
                try:
                    value = await anext(inner)
                    while True:
                        try:
                            sent = yield value
                        except GeneratorExit:
                            await inner.aclose()
                            raise
                        except BaseException as error:
                            value = await inner.athrow(error)
                        else:
                            value = await inner.asend(sent)
                except StopAsyncIteration:
                    return

        return call


def is_cancellation(kind: type[BaseException]) -> bool:
    """Tell whether an exception means that the work was called off, not that it failed.

    What stands outside Exception does, in asyncio, trio and gevent alike, except the two that end
    a program.
    """
    if not issubclass(kind, Exception):
        return not issubclass(kind, (SystemExit, KeyboardInterrupt))
    # Loading it for the first failure of a plain program would take milliseconds for nothing.
    if "concurrent.futures" in sys.modules:
        from concurrent.futures import CancelledError

        return issubclass(kind, CancelledError)
    return False


def _tell_of_loss(operation: str) -> None:
    global _told_of_loss
    if not _told_of_loss:
        _told_of_loss = True
        _logger.exception("a call of operation %.80r could not be counted (said once)", operation)
