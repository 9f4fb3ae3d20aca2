"""How the caches of processes stand: coherence with Redis, limits, and how their keys begin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from perftui.cache.namespaces import OTHER, UNNAMED
from perftui.metrics.report import CacheCounts, CacheState, ServiceReport
from perftui.snapshot import NOT_LISTENED, Absent, CacheCoherence, Maybe, State

MOST_LOOKUPS = 1 << 44
"""Look-ups, items or bytes that no cache of one process can have had in its life."""
MOST_PREFIXES = 8

NOT_USED = Absent(
    State.NOT_COLLECTED, "the process has not looked anything up yet, or has closed it"
)
NO_LIMITS = Absent(
    State.NOT_COLLECTED,
    "the process does not report what memory may hold",
    "Reporter(..., caches=manager) with a CacheManager",
)
NO_MEMORY = Absent(State.NOT_COLLECTED, "the cache keeps nothing in memory")
NO_REDIS = Absent(State.NOT_COLLECTED, "the cache has no Redis tier")
NO_LAG = Absent(State.NOT_COLLECTED, "no PING was answered yet")
NO_BOUND = Absent(State.NOT_COLLECTED, "there is no Redis tier to differ from")

_SEVERITY = {"live": 1, "syncing": 2, "off": 3, "lost": 4}


def possible_counts(counts: CacheCounts, states: Sequence[CacheState]) -> bool:
    """Tell whether a process can have counted this, with caches in these states."""
    *numbers, places = msgspec.structs.astuple(counts)
    if not all(number is None or 0 <= number < MOST_LOOKUPS for number in numbers):
        return False
    if not all(0 <= place < len(states) for place in places):
        return False
    return all(_possible_state(states[place]) for place in places)


def _possible_state(state: CacheState) -> bool:
    times = (state.lag, state.bound, state.age)
    limits = (state.lost, state.max_items, state.max_bytes)
    return all(time is None or (math.isfinite(time) and time >= 0) for time in times) and all(
        limit is None or 0 <= limit < MOST_LOOKUPS for limit in limits
    )


def states_of(report: ServiceReport, counts: CacheCounts) -> tuple[CacheState, ...]:
    """Return the states of the caches of a process that a namespace is part of."""
    return tuple([report.cache_states[place] for place in counts.states])


def coherence_of(report: ServiceReport, states: Sequence[CacheState]) -> Maybe[CacheCoherence]:
    """Return the worst of these caches of a process."""
    if not states:
        return NOT_LISTENED
    return worst([_coherence(report, state) for state in states if state.coherence]) or NOT_USED


def worst(found: Iterable[CacheCoherence]) -> CacheCoherence | None:
    """Return the coherence that keeps memory from being of use most; None where there is none."""
    return max(found, key=_badness, default=None)


def _badness(coherence: CacheCoherence) -> tuple[int, float, float]:
    alone = coherence.state == "off" and isinstance(coherence.bound, Absent)
    severity = 0 if alone else _SEVERITY.get(coherence.state, 2)
    lag = 0.0 if isinstance(coherence.lag, Absent) else coherence.lag
    since = 0.0 if isinstance(coherence.since, Absent) else coherence.since
    return severity, lag, -since


def _coherence(report: ServiceReport, state: CacheState) -> CacheCoherence:
    return CacheCoherence(
        state=state.coherence,
        reason=state.reason,
        fix=state.fix,
        lag=NO_LAG if state.lag is None else state.lag,
        bound=NO_BOUND if state.bound is None else state.bound,
        # The clock of the process may be wrong, how long it has been so is not.
        since=NO_BOUND if state.age is None else report.time - state.age,
        lost=state.lost,
    )


def redis_answers(states: Sequence[CacheState]) -> Maybe[bool]:
    """Tell whether Redis answers to all of these caches of a process."""
    if not states:
        return NOT_LISTENED
    used = [state for state in states if state.coherence]
    if not used:
        return NOT_USED
    told = [state.redis_answers for state in used if state.redis_answers is not None]
    return all(told) if told else NO_REDIS


def limit(values: Sequence[int | None]) -> Maybe[int]:
    """Return what the memory of all caches of a process may hold, None for one without memory."""
    if not values:
        return NO_LIMITS
    told = [value for value in values if value is not None]
    return sum(told) if told else NO_MEMORY


def prefixes(name: str, states: Iterable[CacheState]) -> tuple[str, ...]:
    """Return what the keys of a namespace begin with in Redis, by the prefixes of its caches."""
    found = set()
    for state in states:
        if not state.separator or name == OTHER or "\\" in name:
            continue
        found.add(state.prefix + ("" if name == UNNAMED else name + state.separator))
    return tuple(sorted(found - {""})[:MOST_PREFIXES])
