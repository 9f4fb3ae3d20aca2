"""The three tiers of a cache namespace as a snapshot shows them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perftui.metrics.report import CacheCounts
from perftui.snapshot import Absent, CacheTier, HitRatio, Maybe, State
from perftui.sources.hit_windows import HitWindows
from perftui.sources.services.cache_lookups import CacheLookups, CacheRates
from perftui.sources.services.cache_states import NO_MEMORY

REDIS_HAS_NO_PREFIXES = Absent(
    State.NOT_COLLECTED, "Redis counts items and evictions for the whole server only"
)
BOTH_TIERS = Absent(State.NOT_COLLECTED, "an item can be in both tiers")
MEMORY_HAS_NO_ERRORS = Absent(State.NOT_COLLECTED, "only what is asked of Redis can fail")
NOT_COUNTED = Absent(
    State.NOT_COLLECTED,
    "the process does not count it",
    "Reporter(..., caches=manager) with a CacheManager",
)
NO_GHOST = Absent(
    State.NOT_COLLECTED,
    "the service does not remember which keys memory evicted",
    "CacheConfig(ghost=True)",
)


class Limits(msgspec.Struct, frozen=True):
    """What the memory tiers of some processes may hold together; the size in bytes."""

    items: Maybe[int]
    size: Maybe[int]


def tiers(
    lookups: CacheLookups, rates: CacheRates, current: Sequence[CacheCounts], limits: Limits
) -> tuple[CacheTier, ...]:
    """Return the tiers of processes that have counted `current`, at least one of them."""
    expirations = _counted([each.memory_expirations for each in current], rates.expirations)
    redis_errors = _counted([each.redis_errors for each in current], rates.redis_errors)
    failures = _counted([each.redis_errors for each in current], rates.failures)
    memory = CacheTier(
        tier="memory",
        hit_ratio=lookups.memory.ratio(),
        items=sum(each.memory_items for each in current),
        size=sum(each.memory_size for each in current),
        evictions_rate=rates.evictions,
        lookups_100=lookups.memory.lookups(),
        items_limit=limits.items,
        size_limit=limits.size,
        expirations_rate=expirations,
        errors_rate=MEMORY_HAS_NO_ERRORS,
        lookups_rate=rates.memory_lookups,
    )
    redis = CacheTier(
        tier="redis",
        hit_ratio=lookups.redis.ratio(),
        items=REDIS_HAS_NO_PREFIXES,
        size=REDIS_HAS_NO_PREFIXES,
        evictions_rate=REDIS_HAS_NO_PREFIXES,
        lookups_100=lookups.redis.lookups(),
        items_limit=REDIS_HAS_NO_PREFIXES,
        size_limit=REDIS_HAS_NO_PREFIXES,
        expirations_rate=REDIS_HAS_NO_PREFIXES,
        errors_rate=redis_errors,
        lookups_rate=rates.redis_lookups,
    )
    overall = CacheTier(
        tier="overall",
        hit_ratio=lookups.overall.ratio(),
        items=BOTH_TIERS,
        size=BOTH_TIERS,
        evictions_rate=BOTH_TIERS,
        lookups_100=lookups.overall.lookups(),
        items_limit=BOTH_TIERS,
        size_limit=BOTH_TIERS,
        expirations_rate=BOTH_TIERS,
        errors_rate=failures,
        lookups_rate=rates.lookups,
    )
    return memory, redis, overall


def silent_tiers(gone: Absent) -> tuple[CacheTier, ...]:
    """Return the tiers of a process that nothing is known of at the moment."""
    return tuple(
        [
            CacheTier(
                tier=name,
                hit_ratio=HitRatio(gone, gone, gone),
                items=gone,
                size=gone,
                evictions_rate=gone,
                lookups_100=gone,
                items_limit=gone,
                size_limit=gone,
                expirations_rate=gone,
                errors_rate=gone,
                lookups_rate=gone,
            )
            for name in ("memory", "redis", "overall")
        ]
    )


def ghost_ratio(
    doubled: HitWindows | None, current: Sequence[CacheCounts], limits: Limits
) -> Maybe[float]:
    """Return the hit ratio of memory over 100 seconds, had it had twice the size."""
    if doubled is None:
        return NO_GHOST
    if limits.items == NO_MEMORY:
        return NO_MEMORY
    # A cache with a list and one without differ only here.
    haunted = [
        each.memory_ghost_hits
        for each in current
        if each.memory_expirations is None or each.memory_ghost_hits is not None
    ]
    if len(haunted) < len(current):
        return NO_GHOST
    return _counted(haunted, doubled.ratio().seconds_100)


def loads_rate(rates: CacheRates, current: Sequence[CacheCounts]) -> Maybe[float]:
    """Return how often a value was made anew per second."""
    return _counted([each.loads for each in current], rates.loads)


def _counted(told: Sequence[int | None], value: Maybe[float]) -> Maybe[float]:
    """Return a value that rests on counts of processes, some of which may not count it."""
    return value if None not in told else partly(told.count(None), len(told), NOT_COUNTED)


def partly(missing: int, processes: int, why: Absent) -> Absent:
    """Return why there is no sum where some processes do not tell their part."""
    if missing == processes:
        return why
    return Absent(
        State.NOT_COLLECTED, f"{missing:,} of {processes:,} processes do not tell it", why.fix
    )


def together(values: Sequence[Maybe[int]]) -> Maybe[int]:
    """Return the sum over processes, of which those without a memory tier add nothing."""
    told = [value for value in values if not isinstance(value, Absent)]
    missing = [value for value in values if isinstance(value, Absent) and value != NO_MEMORY]
    if missing:
        return partly(len(missing), len(values), missing[0])
    return sum(told) if told else NO_MEMORY
