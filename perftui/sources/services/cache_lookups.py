"""Look-ups of one cache namespace: hit ratios in windows of time, and what happened how often."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from perftui.metrics.report import CacheCounts
from perftui.snapshot import FIRST_SAMPLE, Maybe
from perftui.sources.hit_windows import POINTS, HitWindows

RATE_SECONDS = 10.0


class CacheGrowth(NamedTuple):
    """What happened between two reports of a process; `lookups` are those of callers.

    `failures` are Redis errors, values that could not be read or written, and failed loads.
    """

    evictions: int
    expirations: int
    memory_lookups: int
    redis_lookups: int
    lookups: int
    redis_errors: int
    failures: int
    loads: int


class CacheRates(NamedTuple):
    """The same per second over the last 10 seconds."""

    evictions: Maybe[float]
    expirations: Maybe[float]
    memory_lookups: Maybe[float]
    redis_lookups: Maybe[float]
    lookups: Maybe[float]
    redis_errors: Maybe[float]
    failures: Maybe[float]
    loads: Maybe[float]


NO_GROWTH = CacheGrowth(*(0,) * len(CacheGrowth._fields))


def growth_of(before: CacheCounts, after: CacheCounts) -> CacheGrowth:
    """Return what happened between two readings of the counts of a process."""
    hits = _more(before.memory_hits, after.memory_hits)
    misses = _more(before.memory_misses, after.memory_misses)
    redis = _more(before.redis_hits, after.redis_hits)
    redis += _more(before.redis_misses, after.redis_misses)
    errors = _more(before.redis_errors, after.redis_errors)
    others = _more(before.codec_errors, after.codec_errors)
    others += _more(before.load_errors, after.load_errors)
    return CacheGrowth(
        evictions=_more(before.memory_evictions, after.memory_evictions),
        expirations=_more(before.memory_expirations, after.memory_expirations),
        memory_lookups=hits + misses,
        redis_lookups=redis,
        # A look-up that Redis could not answer is in neither of its counts, and memory that is
        # switched off counts none: whichever saw more is the number of look-ups.
        lookups=hits + max(misses, redis),
        redis_errors=errors,
        failures=errors + others,
        loads=_more(before.loads, after.loads),
    )


def _more(before: int | None, after: int | None) -> int:
    return max(0, (after or 0) - (before or 0))


class CacheLookups:
    """Look-ups under one key prefix, of one process or added up over those of a service.

    With `doubled` it also tells what memory of twice the size would have done.
    """

    def __init__(self, points: int = POINTS, *, doubled: bool = True) -> None:
        self.memory_hits = 0
        self.memory_misses = 0
        self.redis_hits = 0
        self.redis_misses = 0
        self.ghost_hits = 0
        self.memory = HitWindows(points)
        self.redis = HitWindows(points)
        self.overall = HitWindows(points)
        self.doubled = HitWindows(points) if doubled else None
        self._began = False

    def add(self, before: CacheCounts, after: CacheCounts) -> None:
        self.memory_hits += after.memory_hits - before.memory_hits
        self.memory_misses += after.memory_misses - before.memory_misses
        self.redis_hits += after.redis_hits - before.redis_hits
        self.redis_misses += after.redis_misses - before.redis_misses
        self.ghost_hits += _more(before.memory_ghost_hits, after.memory_ghost_hits)

    def tick(self, now: float, seconds: float) -> None:
        """Close a sample at `now`, the first of which goes back so many seconds."""
        # What a process had counted before the monitor came was counted before this moment.
        if not self._began and seconds > 0:
            self._windows(now - seconds, 0, 0, 0, 0, 0)
        self._began = True
        self._windows(
            now,
            self.memory_hits,
            self.memory_misses,
            self.redis_hits,
            self.redis_misses,
            self.ghost_hits,
        )

    def _windows(
        self,
        now: float,
        memory_hits: int,
        memory_misses: int,
        redis_hits: int,
        redis_misses: int,
        ghost_hits: int,
    ) -> None:
        self.memory.add(now, memory_hits, memory_misses)
        self.redis.add(now, redis_hits, redis_misses)
        if self.doubled is not None:
            self.doubled.add(now, memory_hits + ghost_hits, memory_misses - ghost_hits)
        # A look-up that Redis could not answer is in neither of its counts, and while the memory
        # tier is bypassed it counts none: whichever saw more is the number of look-ups.
        beyond_memory = max(memory_misses, redis_hits + redis_misses)
        self.overall.add(now, memory_hits + redis_hits, beyond_memory - redis_hits)


class RecentGrowth:
    """What one process did in the last 10 seconds; times are by the clock of Redis."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, CacheGrowth]] = deque()

    def add(self, growth: CacheGrowth, begin: float, end: float) -> None:
        """Take what happened from `begin` to `end`."""
        points = self._points
        if points and not begin - 1.0 <= points[-1][0] < end:
            # It began again, or somebody has set the clock.
            points.clear()
        if not points:
            points.append((begin, NO_GROWTH))
        total = CacheGrowth(*map(sum, zip(points[-1][1], growth, strict=True)))
        points.append((end, total))
        while len(points) > 2 and points[1][0] <= end - RATE_SECONDS:
            points.popleft()

    def rates(self) -> CacheRates:
        """Return how often each thing happened per second."""
        if len(self._points) < 2 or self._points[-1][0] <= self._points[0][0]:
            return CacheRates(*(FIRST_SAMPLE,) * len(NO_GROWTH))
        (begin, before), (end, after) = self._points[0], self._points[-1]
        return CacheRates(
            *[(now - then) / (end - begin) for then, now in zip(before, after, strict=True)]
        )
