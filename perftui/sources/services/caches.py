"""Caches of one service by namespace and tier, added up over its processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perftui.metrics.report import CacheCounts, ServiceReport
from perftui.snapshot import FIRST_SAMPLE, Absent, CacheNamespace, CacheTier, Maybe, State
from perftui.sources.hit_windows import HitWindows
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.packed_counts import layout

MOST_NAMESPACES = 200
"""Namespaces of one service whose look-ups are counted; further ones are not shown."""
REDIS_HAS_NO_PREFIXES = Absent(
    State.NOT_COLLECTED, "Redis counts items and evictions for the whole server only"
)
BOTH_TIERS = Absent(State.NOT_COLLECTED, "an item can be in both tiers")


class CacheLookups:
    """Look-ups under one key prefix, added up over the processes of a service."""

    def __init__(self) -> None:
        self.memory_hits = 0
        self.memory_misses = 0
        self.redis_hits = 0
        self.redis_misses = 0
        self.memory = HitWindows()
        self.redis = HitWindows()
        self.overall = HitWindows()
        self._began = False

    def add(self, before: CacheCounts, after: CacheCounts) -> None:
        self.memory_hits += after.memory_hits - before.memory_hits
        self.memory_misses += after.memory_misses - before.memory_misses
        self.redis_hits += after.redis_hits - before.redis_hits
        self.redis_misses += after.redis_misses - before.redis_misses

    def tick(self, now: float, seconds: float) -> None:
        # What a process had counted before the monitor came was counted before this moment.
        if not self._began and seconds > 0:
            self._windows(now - seconds, 0, 0, 0, 0)
        self._began = True
        self._windows(now, self.memory_hits, self.memory_misses, self.redis_hits, self.redis_misses)

    def _windows(
        self, now: float, memory_hits: int, memory_misses: int, redis_hits: int, redis_misses: int
    ) -> None:
        self.memory.add(now, memory_hits, memory_misses)
        self.redis.add(now, redis_hits, redis_misses)
        # A look-up that Redis could not answer is in neither of its counts, and while the memory
        # tier is bypassed it counts none: whichever saw more is the number of look-ups.
        beyond_memory = max(memory_misses, redis_hits + redis_misses)
        self.overall.add(now, memory_hits + redis_hits, beyond_memory - redis_hits)


class ServiceCaches:
    """The cache counters of one service since the monitor first saw it."""

    def __init__(self) -> None:
        self._namespaces: dict[str, CacheLookups] = {}
        self._evictions = OperationSlots(lag=0.0)
        self._new_seconds = 0.0

    def know(self, report: ServiceReport) -> None:
        """Take a process into account of which nobody can tell what it counted lately."""
        for name in report.caches:
            self._namespace(name)

    def restart_rates(self) -> None:
        """Forget how much was evicted when, because the clock was set."""
        self._evictions = OperationSlots(lag=0.0)

    def _namespace(self, name: str) -> CacheLookups | None:
        """Return a namespace, None where there are too many."""
        found = self._namespaces.get(name)
        if found is None and len(self._namespaces) < MOST_NAMESPACES:
            found = self._namespaces[name] = CacheLookups()
        return found

    def add(
        self,
        before: Mapping[str, CacheCounts],
        after: Mapping[str, CacheCounts],
        begin: float,
        end: float,
    ) -> None:
        """Add what one process counted from `begin` to `end`, seconds by the clock of Redis."""
        self._evictions.watched_since(begin)
        self._new_seconds = max(self._new_seconds, end - begin)
        for name, counts in after.items():
            namespace = self._namespace(name)
            if namespace is None:
                continue
            earlier = before.get(name, _NONE)
            # A process that began again has counted from zero.
            if _went_back(earlier, counts):
                earlier = _NONE
            namespace.add(earlier, counts)
            evictions = max(0, counts.memory_evictions - earlier.memory_evictions)
            place = layout(())
            packed = place.pack(evictions, 0, 0, 0.0, (evictions,))
            self._evictions.add_packed(place, {name: packed}, begin, end)

    def advance(self, complete: float) -> None:
        """All counts up to `complete` have come in, by the clock of Redis."""
        self._evictions.advance(complete)

    def tick(self, now: float) -> None:
        """Close one sample at `now`, seconds of a clock that never goes back."""
        for namespace in self._namespaces.values():
            namespace.tick(now, self._new_seconds)
        self._new_seconds = 0.0

    def namespaces(self, reports: Sequence[ServiceReport]) -> tuple[CacheNamespace, ...]:
        """Return what the live processes have, by name; sizes in bytes."""
        found: list[CacheNamespace] = []
        if len(self._namespaces) >= MOST_NAMESPACES:
            used = set().union(*[report.caches for report in reports])
            self._namespaces = {
                name: each for name, each in self._namespaces.items() if name in used
            }
        windows = self._evictions.windows(self._namespaces)
        evictions = {each.name: each.rate for each in windows[0].operations} if windows else {}
        for name in sorted(self._namespaces):
            current = [report.caches[name] for report in reports if name in report.caches]
            if current:
                found.append(
                    _namespace(
                        name, self._namespaces[name], current, evictions.get(name, FIRST_SAMPLE)
                    )
                )
        return tuple(found)


_NONE = CacheCounts(0, 0, 0, 0, 0, 0, 0)


def _namespace(
    name: str, counts: CacheLookups, current: Sequence[CacheCounts], evictions: Maybe[float]
) -> CacheNamespace:
    memory = CacheTier(
        tier="memory",
        hit_ratio=counts.memory.ratio(),
        items=sum(each.memory_items for each in current),
        size=sum(each.memory_size for each in current),
        evictions_rate=evictions,
        lookups_100=counts.memory.lookups(),
    )
    redis = CacheTier(
        tier="redis",
        hit_ratio=counts.redis.ratio(),
        items=REDIS_HAS_NO_PREFIXES,
        size=REDIS_HAS_NO_PREFIXES,
        evictions_rate=REDIS_HAS_NO_PREFIXES,
        lookups_100=counts.redis.lookups(),
    )
    overall = CacheTier(
        tier="overall",
        hit_ratio=counts.overall.ratio(),
        items=BOTH_TIERS,
        size=BOTH_TIERS,
        evictions_rate=BOTH_TIERS,
        lookups_100=counts.overall.lookups(),
    )
    return CacheNamespace(name, (memory, redis, overall))


def _went_back(before: CacheCounts, after: CacheCounts) -> bool:
    return (
        after.memory_hits < before.memory_hits
        or after.memory_misses < before.memory_misses
        or after.redis_hits < before.redis_hits
        or after.redis_misses < before.redis_misses
    )
