"""A profiler that a service starts itself: short, exact captures of one thread by cProfile.

What it costs and what it cannot see is that of cProfile, see the Python manual, "The Python
Profilers". A program that only calls Python functions becomes five to seven times slower while it
is profiled, one that waits or computes in C hardly at all. To look at a service in production,
attach perftui instead, which samples from outside.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar, cast

from perftui.profiling.code_profile import CodeProfile, Heaviest, code_profile, heaviest
from perftui.profiling.cprofile_capture import Capture, new_capture
from perftui.profiling.cprofile_tally import hide
from perftui.profiling.profiled_function import profiled_coroutine, profiled_function
from perftui.profiling.profiler_errors import (
    AlreadyProfilingError,
    NotProfilingError,
    OtherProfilerError,
)

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger("perftui")


class CodeProfiler:
    """Profiles a piece of a program by cProfile; `limit` functions at most are in a result.

    Start and stop it, use it as a context manager, or as a decorator of a function or coroutine
    function, whose calls are then added up. `snapshot()` tells while it goes on, `result` when it
    has ended; a Reporter that is given it puts its snapshots on the screen.

    Limits, also in the `note` of a result. Up to Python 3.11 it sees the thread that starts it and
    the threads of `threading` that begin while it runs. From 3.12 on it sees the whole process,
    whose times are right only while one thread runs. A function shows when it has returned, or the
    profiler stops; coroutines and generators count each time they go on. In a process that is
    forked meanwhile it does not go on. One profiler can be active, in a thread up to Python 3.11
    and in a process from 3.12 on.

    Raises ValueError for a limit below 1.
    """

    def __init__(self, limit: int = 10) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"limit is {limit!r:.80}; it must be a whole number from 1 on")
        self.limit = limit
        self._lock = threading.RLock()
        self._capture: Capture | None = None
        self._started = False
        self._depth = 0
        self._result: CodeProfile | None = None
        self._told = False

    @property
    def running(self) -> bool:
        """Whether it records at this moment."""
        return (self._started or self._depth > 0) and self._current() is not None

    @property
    def result(self) -> CodeProfile | None:
        """What the last `with` block, start and stop, or calls of decorated functions came to.

        None before the end of the first.
        """
        with self._lock:
            capture = self._current()
            if capture is not None and not self.running:
                return self._told_by(capture)
            return self._result

    def start_profiling(self) -> None:
        """Profile from now on.

        Raises AlreadyProfilingError when this one does already, OtherProfilerError when another
        profiler is active: another CodeProfiler or cProfile, or what sys.setprofile() was given.
        """
        self._lock.acquire()
        try:
            if self.running:
                raise AlreadyProfilingError(
                    "this CodeProfiler runs already: call stop_profiling() first, or make another "
                    "one for another thread"
                )
            capture = self._capture = new_capture()
            self._started = True
            self._begin(capture)
        finally:
            self._unlock()

    def stop_profiling(self) -> CodeProfile:
        """Profile no more, and return what was found; from whatever thread.

        Raises NotProfilingError when it was not started, or in a process forked since.
        """
        capture = self._stop()
        if capture is None:
            raise NotProfilingError(
                "this CodeProfiler was not started in this process: call start_profiling() first"
            )
        self._result = self._told_by(capture)
        return self._result

    def snapshot(self) -> CodeProfile:
        """Return what was found so far; profiling goes on. From whatever thread.

        Raises NotProfilingError when it does not profile.
        """
        capture = self._current()
        if capture is None:
            raise NotProfilingError(
                "this CodeProfiler does not run in this process: call start_profiling() first"
            )
        return self._told_by(capture)

    def heaviest(self, most: int) -> Heaviest | None:
        """Return the functions that took most time, own and total, `most` of each at most.

        None when it does not profile. Callers are left out, which makes it cheap enough for
        every few seconds.
        """
        capture = self._current()
        return None if capture is None else heaviest(capture, most, running=self.running)

    @property
    def began(self) -> float | None:
        """When it began what it records now, by the monotonic clock; None when it does not."""
        capture = self._current()
        return None if capture is None else capture.started

    def __enter__(self) -> CodeProfiler:
        self.start_profiling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # In a forked process there may be nothing to stop.
        capture = self._stop()
        if capture is not None:
            self._result = self._told_by(capture)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function profiled: all its calls together, until `start_profiling()`.

        A call while it profiles already is a part of that. Where another profiler is active the
        function runs without this one, and the log `perftui` says so once. Raises TypeError for
        a class, a generator function, and what is no function.
        """
        if isinstance(function, staticmethod | classmethod):
            return cast("Callable[P, R]", type(function)(self(function.__func__)))
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"a CodeProfiler profiles functions, not {function!r:.80}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function!r:.80} is a generator, which runs in pieces: profile the function "
                "that goes through it"
            )
        wrap = profiled_coroutine if inspect.iscoroutinefunction(function) else profiled_function
        profiled = wrap(function, self._join, self._leave)
        return cast("Callable[P, R]", functools.wraps(function)(profiled))

    def _current(self) -> Capture | None:
        capture = self._capture
        return capture if capture is not None and capture.pid == os.getpid() else None

    def _begin(self, capture: Capture) -> None:
        """Let a capture record; what this thread does from here on is in it."""
        _look_after(self)
        try:
            capture.begin()
        except BaseException:
            if not capture.seconds:
                self._capture = None
            self._started = False
            self._depth = 0
            raise

    def _stop(self) -> Capture | None:
        """End what was started, and return it; None if nothing was."""
        with self._lock:
            capture = self._current()
            if capture is None or not self._started:
                return None
            capture.end()
            self._capture = None
            self._started = False
            return capture

    def _join(self) -> Capture | None:
        """Begin, go on, or be a part of what runs; return None when there is nothing to leave."""
        self._lock.acquire()
        try:
            capture = self._current()
            if self._started and capture is not None:
                return None
            if capture is None:
                capture = self._capture = new_capture()
                self._started = False
                self._depth = 0
            self._depth += 1
            if self._depth == 1:
                self._begin(capture)
        except OtherProfilerError as error:
            if not self._told:
                self._told = True
                _logger.warning("a function runs without its CodeProfiler: %s", error)
            return None
        else:
            return capture
        finally:
            self._unlock()

    def _unlock(self) -> None:
        """Release the lock where it is profiled already: in a function that is not shown."""
        self._lock.release()

    def _leave(self, joined: Capture | None) -> None:
        if joined is None:
            return
        with self._lock:
            if joined is not self._current() or self._depth == 0:
                return
            self._depth -= 1
            if self._depth == 0:
                joined.end()

    def _told_by(self, capture: Capture) -> CodeProfile:
        return code_profile(capture, self.limit, running=self.running)

    def _forget(self) -> None:
        """Be a profiler that was never started, in a process that was just forked."""
        self._lock = threading.RLock()
        capture, self._capture = self._capture, None
        self._started = False
        self._depth = 0
        if capture is not None:
            capture.forget()


_known: weakref.WeakSet[CodeProfiler] = weakref.WeakSet()


def _look_after(profiler: CodeProfiler) -> None:
    """Let a fork end what a profiler records, in the new process."""
    global _hooked
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_after_fork)
    _known.add(profiler)


_hooked = False


def _after_fork() -> None:
    for profiler in list(_known):
        profiler._forget()


hide(_look_after.__code__.co_filename)
