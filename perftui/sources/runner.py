"""Runs one source on one thread: interval, deadline, late counter, state of its last reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from perftui.snapshot import NOT_STARTED, Absent, Maybe, SourceStatus, State
from perftui.sources.source import RestingSource, Source, SourceError

T = TypeVar("T")

WARM_UP = 0.3
"""Seconds between the first two samples, so that rates appear at once and not after an interval."""

NOT_SHOWN = Absent(State.NOT_COLLECTED, "nothing on the screen needs it")


def attempt(source: Source[T]) -> Maybe[T]:
    """Return one reading of a source, or why there is none; a defect in it is a reason too."""
    try:
        return source.sample()
    except SourceError as error:
        return error.absent
    except Exception as error:
        reason = f"{source.name} failed: {type(error).__name__}: {error}"
        return Absent(State.UNAVAILABLE, reason, "report this as a defect of perftui")


class _Slot(NamedTuple, Generic[T]):
    """The newest outcome of a source; replaced as a whole, so readers need no lock."""

    value: Maybe[T]
    finished: float | None
    duration: float | None


class SourceRunner(Generic[T]):
    """Drives a source from a daemon thread of its own.

    Samples lie on a grid of `interval`; a grid point that passes while a sample is still running
    is skipped and counted as late, never queued. A source that nobody needs does not run.
    """

    def __init__(
        self,
        source: Source[T],
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._changed = changed
        self._clock = clock
        self._condition = threading.Condition()
        self._wanted = True
        self._stopping = False
        self._hurried = False
        self._rested = False
        self._slot: _Slot[T] = _Slot(NOT_STARTED, None, None)
        self._late = 0
        self._runs = 0
        self._thread = threading.Thread(target=self._run, name=f"source-{source.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def demand(self, wanted: bool) -> None:
        """Say whether anything needs the readings; a source nobody needs rests."""
        with self._condition:
            if wanted == self._wanted:
                return
            self._wanted = wanted
            if not wanted:
                self._slot = _Slot(NOT_SHOWN, None, None)
            self._condition.notify_all()

    def hurry(self) -> None:
        """Have the next sample taken at once: what it reads has been chosen anew."""
        with self._condition:
            self._hurried = True
            self._condition.notify_all()

    def stop(self) -> None:
        """Ask the thread to end and release what the source holds."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self.source.close()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the thread to end."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    def reading(self, now: float) -> tuple[Maybe[T], SourceStatus]:
        """Return the newest value or its absence, and how the source is doing at `now`."""
        slot = self._slot
        source = self.source
        age = None if slot.finished is None else max(0.0, now - slot.finished)
        state, reason, fix = State.OK, "", ""
        if isinstance(slot.value, Absent):
            state, reason, fix = slot.value.state, slot.value.reason, slot.value.fix
        elif age is not None and age > self._patience:
            state, reason = State.STALE, f"{source.name}: no answer for {age:.0f} s"
        status = SourceStatus(
            name=source.name,
            state=state,
            reason=reason,
            fix=fix,
            age=age,
            duration=slot.duration,
            interval=source.interval,
            late=self._late,
            runs=self._runs,
        )
        return slot.value, status

    @property
    def _patience(self) -> float:
        return max(3 * self.source.interval, self.source.deadline) + 1.0

    def _run(self) -> None:
        due = self._clock()
        while self._rest_until(due):
            first = self._runs == 0
            if self._rested and isinstance(self.source, RestingSource):
                self.source.rested()
                first = True
            self._rested = False
            started = self._clock()
            value = attempt(self.source)
            finished = self._clock()
            self._runs += 1
            if finished - started > self.source.deadline:
                self._late += 1
            self._publish(_Slot(value, finished, finished - started))
            due = self._next_due(due, finished, first)

    def _next_due(self, due: float, finished: float, first: bool) -> float:
        interval = self.source.interval
        if interval <= 0:
            return finished
        if first:
            return finished + min(WARM_UP, interval)
        # A sample that was taken early leaves the grid where it is.
        missed = max(-1, int((finished - due) // interval))
        if missed > 0:
            self._late += missed
        return due + (missed + 1) * interval

    def _publish(self, slot: _Slot[T]) -> None:
        with self._condition:
            if not self._wanted or self._stopping:
                return
            previous = self._slot
            self._slot = slot
        before = previous.value if isinstance(previous.value, Absent) else None
        after = slot.value if isinstance(slot.value, Absent) else None
        if before != after:
            self._changed()

    def _rest_until(self, due: float) -> bool:
        """Sleep until `due` and while nobody needs the source; False when it is time to end."""
        with self._condition:
            while not self._stopping:
                if not self._wanted:
                    self._rested = True
                    self._condition.wait()
                    due = self._clock()
                    continue
                remaining = due - self._clock()
                if remaining <= 0 or self._hurried:
                    self._hurried = False
                    return True
                self._condition.wait(remaining)
            return False
