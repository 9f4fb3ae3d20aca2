"""Caches of one service by namespace and tier, added up over its processes."""

from __future__ import annotations

from collections.abc import Sequence

from perftui.metrics.report import CacheCounts, ServiceReport
from perftui.snapshot import FIRST_SAMPLE, Absent, CacheNamespace, CacheTier, State
from perftui.sources.hit_windows import HitWindows
from perftui.sources.service_operations import Point, evictions_rate

REDIS_HAS_NO_PREFIXES = Absent(
    State.NOT_COLLECTED, "Redis counts items and evictions for the whole server only"
)
BOTH_TIERS = Absent(State.NOT_COLLECTED, "an item can be in both tiers")


class _Namespace:
    def __init__(self) -> None:
        self.memory_hits = 0
        self.memory_misses = 0
        self.redis_hits = 0
        self.redis_misses = 0
        self.memory = HitWindows()
        self.redis = HitWindows()
        self.overall = HitWindows()

    def add(self, before: CacheCounts | None, after: CacheCounts) -> None:
        # A process that began again, or a namespace that is new, has counted from zero.
        if before is None or _went_back(before, after):
            before = CacheCounts(0, 0, 0, 0, 0, 0, 0)
        self.memory_hits += after.memory_hits - before.memory_hits
        self.memory_misses += after.memory_misses - before.memory_misses
        self.redis_hits += after.redis_hits - before.redis_hits
        self.redis_misses += after.redis_misses - before.redis_misses

    def tick(self, now: float) -> None:
        self.memory.add(now, self.memory_hits, self.memory_misses)
        self.redis.add(now, self.redis_hits, self.redis_misses)
        # A look-up that Redis could not answer is in neither of its counts, and while the memory
        # tier is bypassed it counts none: whichever saw more is the number of look-ups.
        beyond_memory = max(self.memory_misses, self.redis_hits + self.redis_misses)
        self.overall.add(now, self.memory_hits + self.redis_hits, beyond_memory - self.redis_hits)


class ServiceCaches:
    """The cache counters of one service since the monitor first saw it."""

    def __init__(self) -> None:
        self._namespaces: dict[str, _Namespace] = {}

    def add(self, previous: ServiceReport | None, report: ServiceReport) -> None:
        """Add what one process counted since its previous report.

        The first report of a process is only where counting starts.
        """
        for name, counts in report.caches.items():
            namespace = self._namespaces.setdefault(name, _Namespace())
            if previous is not None:
                same = previous.started == report.started
                namespace.add(previous.caches.get(name) if same else None, counts)

    def tick(self, now: float) -> None:
        """Close one sample at `now`, seconds of a clock that never goes back."""
        for namespace in self._namespaces.values():
            namespace.tick(now)

    def namespaces(
        self, reports: Sequence[ServiceReport], points: Sequence[Sequence[Point]]
    ) -> tuple[CacheNamespace, ...]:
        """Return what the live processes have, by name; sizes in bytes."""
        found: list[CacheNamespace] = []
        for name in sorted(self._namespaces):
            current = [report.caches[name] for report in reports if name in report.caches]
            if not current:
                continue
            namespace = self._namespaces[name]
            evictions = evictions_rate(points, name)
            memory = CacheTier(
                tier="memory",
                hit_ratio=namespace.memory.ratio(),
                items=sum(counts.memory_items for counts in current),
                size=sum(counts.memory_size for counts in current),
                evictions_rate=FIRST_SAMPLE if evictions is None else evictions,
            )
            redis = CacheTier(
                tier="redis",
                hit_ratio=namespace.redis.ratio(),
                items=REDIS_HAS_NO_PREFIXES,
                size=REDIS_HAS_NO_PREFIXES,
                evictions_rate=REDIS_HAS_NO_PREFIXES,
            )
            overall = CacheTier(
                tier="overall",
                hit_ratio=namespace.overall.ratio(),
                items=BOTH_TIERS,
                size=BOTH_TIERS,
                evictions_rate=BOTH_TIERS,
            )
            found.append(CacheNamespace(name, (memory, redis, overall)))
        return tuple(found)


def _went_back(before: CacheCounts, after: CacheCounts) -> bool:
    return (
        after.memory_hits < before.memory_hits
        or after.memory_misses < before.memory_misses
        or after.redis_hits < before.redis_hits
        or after.redis_misses < before.redis_misses
    )
