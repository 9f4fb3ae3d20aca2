"""Samples a source at the begin and at the end of a window, for one snapshot without a screen."""

from __future__ import annotations

import threading
import time
from typing import Any

from perftui.snapshot import NOT_STARTED, Absent, Scrape, SourceStatus, State
from perftui.sources.runner import attempt
from perftui.sources.source import Source

ADDING_UP = frozenset({"services", "scrape", "prometheus"})
"""Sources with windows of their own, which need samples in between; others measure from the first
sample to the last."""
LONGEST_MORE = 3.2
"""Seconds that `collect` goes on reading pages until a short window has operations to show: they
are counted in slots of time, of which one has to be full."""
MORE_INTERVAL = 0.4
ENOUGH = 1.0
"""Seconds that a window has to cover; the counts of much less say little."""


def _tells(value: Any) -> bool:
    """Return whether every live service of a reading of pages has a window worth showing."""
    if not isinstance(value, Scrape):
        return True
    return all(
        service.windows and service.windows[0].covered >= ENOUGH
        for service in value.services
        if service.processes
    )


class WindowSampling(threading.Thread):
    """Samples one source at the begin and at the end of a window."""

    def __init__(self, source: Source[Any], end: float, profiled: int | None) -> None:
        super().__init__(name=f"once-{source.name}", daemon=True)
        self.source = source
        self._end = end
        self._profiled = profiled
        self._value: Any = NOT_STARTED
        self._finished: float | None = None
        self._duration: float | None = None
        self._runs = 0

    def run(self) -> None:
        """Sample until the window is over; a profile paces itself."""
        from perftui.sources.pyspy.source import ProfileSource

        if isinstance(self.source, ProfileSource):
            self.source.set_target(self._profiled)
            while not self._attempt() and time.monotonic() < self._end:
                pass
        else:
            self._attempt()
            last = False
            while not last:
                rest = max(0.0, self._end - time.monotonic())
                pause = self._pause(rest)
                last = pause >= rest
                time.sleep(pause)
                self._attempt()
            while not _tells(self._value) and time.monotonic() < self._end + LONGEST_MORE:
                time.sleep(MORE_INTERVAL)
                self._attempt()

    @property
    def patience_ends(self) -> float:
        """When it is given up to wait for the last sample, in monotonic seconds."""
        more = LONGEST_MORE if self.source.name == "scrape" else 0.0
        return self._end + more + self.source.deadline

    def _pause(self, rest: float) -> float:
        """Return how long to wait for the next sample, with `rest` seconds left."""
        interval = self.source.interval
        if self.source.name not in ADDING_UP or rest < 1.5 * interval:
            return rest
        return interval

    def _attempt(self) -> bool:
        """Sample once; True when more samples will not help."""
        begin = time.monotonic()
        self._value = attempt(self.source)
        self._finished = time.monotonic()
        self._duration = self._finished - begin
        self._runs += 1
        return isinstance(self._value, Absent)

    def outcome(self) -> Any:
        """Return the last reading, or why there is none."""
        if self.is_alive():
            waited = self.source.deadline
            return Absent(
                State.UNAVAILABLE, f"{self.source.name} did not answer within {waited:g} s"
            )
        return self._value

    def status(self, now: float) -> SourceStatus:
        """Return how the source did, at the monotonic time `now`."""
        value = self.outcome()
        absent = value if isinstance(value, Absent) else None
        return SourceStatus(
            name=self.source.name,
            state=State.OK if absent is None else absent.state,
            reason="" if absent is None else absent.reason,
            fix="" if absent is None else absent.fix,
            age=None if self._finished is None else max(0.0, now - self._finished),
            duration=self._duration,
            interval=self.source.interval,
            late=int(self.is_alive()),
            runs=self._runs,
        )
