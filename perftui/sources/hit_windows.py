"""Hit ratios over the last 10, 100 and 1000 seconds, from two counters that only grow."""

from __future__ import annotations

from collections import deque

from perftui.snapshot import FIRST_SAMPLE, Absent, HitRatio, Maybe, State

WINDOWS = (10.0, 100.0, 1000.0)
POINTS = 100
"""Points kept per window, which bounds its memory and makes it at most 1 % too long."""


class HitWindows:
    """Hits and misses at some moments of the last 1000 seconds.

    A window that is not full yet is measured over what there is, and one that is full may be too
    long by one of so many parts as it has `points`.
    """

    def __init__(self, points: int = POINTS) -> None:
        self._windows = tuple(_Window(seconds, points) for seconds in WINDOWS)

    def add(self, now: float, hits: int, misses: int) -> None:
        """Take the counters at `now`, seconds of a clock that never goes back."""
        for window in self._windows:
            window.add(now, hits, misses)

    def restart(self) -> None:
        """Forget everything: the counters began again from zero."""
        for window in self._windows:
            window.points.clear()

    def lookups(self) -> int:
        """Return how many look-ups were made in the window of 100 seconds, as far as it is full."""
        return self._windows[1].lookups()

    def ratio(self) -> HitRatio:
        """Return the ratios; Absent before two samples and where nothing was looked up."""
        short, middle, long = (window.ratio() for window in self._windows)
        return HitRatio(short, middle, long)


class _Window:
    def __init__(self, seconds: float, points: int) -> None:
        self.seconds = seconds
        self._distance = seconds / points
        self.points: deque[tuple[float, int, int]] = deque()
        self._latest = (0.0, 0, 0)

    def add(self, now: float, hits: int, misses: int) -> None:
        points = self.points
        self._latest = (now, hits, misses)
        if not points or now - points[-1][0] >= self._distance:
            points.append(self._latest)
        # The first point that stays is the newest one that is as old as the window.
        while len(points) > 1 and points[1][0] <= now - self.seconds:
            points.popleft()
        # After an outage that point can be far too old for what the window is called.
        while len(points) > 2 and points[0][0] < now - 1.5 * self.seconds:
            points.popleft()

    def lookups(self) -> int:
        if not self.points:
            return 0
        (_, hits, misses), (_, hits_now, misses_now) = self.points[0], self._latest
        return max(0, hits_now - hits) + max(0, misses_now - misses)

    def ratio(self) -> Maybe[float]:
        if not self.points or self._latest[0] <= self.points[0][0]:
            return FIRST_SAMPLE
        hits = max(0, self._latest[1] - self.points[0][1])
        misses = max(0, self._latest[2] - self.points[0][2])
        if hits + misses == 0:
            return Absent(State.NOT_COLLECTED, f"no look-ups in the last {self.seconds:.0f} s")
        return hits / (hits + misses)
