"""Caches of one service by namespace and tier, added up over its processes and one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perftui.metrics.report import CacheCounts, ServiceReport
from perftui.snapshot import (
    FIRST_SAMPLE,
    NOT_LISTENED,
    Absent,
    CacheCoherence,
    CacheNamespace,
    CacheProcess,
    Maybe,
    State,
)
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.packed_counts import layout
from perftui.sources.services.cache_lookups import (
    CacheGrowth,
    CacheLookups,
    CacheRates,
    RecentGrowth,
    growth_of,
)
from perftui.sources.services.cache_states import (
    MOST_LOOKUPS,
    NOT_USED,
    coherence_of,
    limit,
    prefixes,
    redis_answers,
    states_of,
    worst,
)
from perftui.sources.services.cache_tiers import (
    Limits,
    ghost_ratio,
    loads_rate,
    silent_tiers,
    tiers,
    together,
)
from perftui.sources.services.instances import place_of, span
from perftui.sources.services.process import ServiceProcess

MOST_NAMESPACES = 200
"""Namespaces of one service whose look-ups are counted; further ones are not shown."""
MOST_SHARES = 500
"""Parts of processes in namespaces that are told apart in one service; each costs 30 kB."""
SHARE_POINTS = 20
"""Points per window of one process, a fifth of what the whole service has."""

_NONE = CacheCounts(0, 0, 0, 0, 0, 0, 0)
_PLACE = layout(())


class _Share:
    """The part of one process in one namespace."""

    def __init__(self) -> None:
        self.lookups = CacheLookups(SHARE_POINTS, doubled=False)
        self.recent = RecentGrowth()
        self.new_seconds = 0.0


class ServiceCaches:
    """The cache counters of one service since the monitor first saw it."""

    def __init__(self) -> None:
        self._namespaces: dict[str, CacheLookups] = {}
        self._shares: dict[tuple[str, str], _Share] = {}
        self._events = OperationSlots(lag=0.0)
        self._new_seconds = 0.0

    def know(self, report: ServiceReport) -> None:
        """Take a process into account of which nobody can tell what it counted lately."""
        for name in report.caches:
            if self._namespace(name) is not None:
                self._share(report.instance, name)

    def restart_rates(self) -> None:
        """Forget how much happened when, because the clock was set."""
        self._events = OperationSlots(lag=0.0)

    def _namespace(self, name: str) -> CacheLookups | None:
        """Return a namespace, None where there are too many."""
        found = self._namespaces.get(name)
        if found is None and len(self._namespaces) < MOST_NAMESPACES:
            found = self._namespaces[name] = CacheLookups()
        return found

    def _share(self, instance: str, name: str) -> _Share | None:
        """Return the part of a process in a namespace, None where there are too many."""
        place = instance, name
        found = self._shares.get(place)
        if found is None and len(self._shares) < MOST_SHARES:
            found = self._shares[place] = _Share()
        return found

    def add(
        self, before: Mapping[str, CacheCounts], report: ServiceReport, begin: float, end: float
    ) -> None:
        """Add what one process counted from `begin` to `end`, seconds by the clock of Redis."""
        self._events.watched_since(begin)
        self._new_seconds = max(self._new_seconds, end - begin)
        happened: dict[str, int] = {}
        for name, counts in report.caches.items():
            namespace = self._namespace(name)
            if namespace is None:
                continue
            earlier = before.get(name, _NONE)
            # A process that began again has counted from zero.
            if _went_back(earlier, counts):
                earlier = _NONE
            namespace.add(earlier, counts)
            growth = growth_of(earlier, counts)
            happened |= _packed(name, growth)
            share = self._share(report.instance, name)
            if share is not None:
                share.lookups.add(earlier, counts)
                share.recent.add(growth, begin, end)
                share.new_seconds = max(share.new_seconds, end - begin)
        self._events.add_packed(_PLACE, happened, begin, end)

    def advance(self, complete: float) -> None:
        """All counts up to `complete` have come in, by the clock of Redis."""
        self._events.advance(complete)

    def tick(self, now: float) -> None:
        """Close one sample at `now`, seconds of a clock that never goes back."""
        for namespace in self._namespaces.values():
            namespace.tick(now, self._new_seconds)
        self._new_seconds = 0.0
        for share in self._shares.values():
            share.lookups.tick(now, share.new_seconds)
            share.new_seconds = 0.0

    def namespaces(
        self, processes: Sequence[ServiceProcess], now: float
    ) -> tuple[CacheNamespace, ...]:
        """Return what live processes have, by name, at `now` by the clock of Redis.

        `processes` are those that have not ended, the silent ones too.
        """
        self._forget(processes, now)
        found: dict[str, list[ServiceProcess]] = {}
        for process in sorted(processes, key=lambda each: (not each.recent(now), *place_of(each))):
            for name in () if process.last is None else process.last.report.caches:
                if name in self._namespaces:
                    found.setdefault(name, []).append(process)
        return tuple(
            [
                self._found(name, found[name], now)
                for name in sorted(found)
                if any(process.live(now) for process in found[name])
            ]
        )

    def _forget(self, processes: Sequence[ServiceProcess], now: float) -> None:
        if len(self._namespaces) >= MOST_NAMESPACES:
            live = [each.last.report for each in processes if each.last and each.live(now)]
            used = set().union(*[report.caches for report in live])
            self._namespaces = {
                name: each for name, each in self._namespaces.items() if name in used
            }
        held = {
            (report.instance, name)
            for report in [each.last.report for each in processes if each.last is not None]
            for name in report.caches
            if name in self._namespaces
        }
        if self._shares.keys() - held:
            self._shares = {place: each for place, each in self._shares.items() if place in held}

    def _found(self, name: str, processes: Sequence[ServiceProcess], now: float) -> CacheNamespace:
        live = [each.last.report for each in processes if each.last and each.live(now)]
        current = [report.caches[name] for report in live]
        states = [states_of(report, report.caches[name]) for report in live]
        limits = Limits(
            together([limit([state.max_items for state in one]) for one in states]),
            together([limit([state.max_bytes for state in one]) for one in states]),
        )
        lookups, rates = self._namespaces[name], self._rates(name)
        rows = [self._process(name, each, now) for each in processes]
        told = [row for row in rows if row is not None]
        return CacheNamespace(
            namespace=name,
            tiers=tiers(lookups, rates, current, limits),
            processes=tuple(told),
            coherence=_worst(
                [coherence_of(report, one) for report, one in zip(live, states, strict=True)]
            ),
            ghost_ratio=ghost_ratio(lookups.doubled, current, limits),
            loads_rate=loads_rate(rates, current),
            more_processes=len(rows) - len(told),
            prefixes=prefixes(name, {state for one in states for state in one}),
        )

    def _process(self, name: str, process: ServiceProcess, now: float) -> CacheProcess | None:
        """Return the part of a process, None where there are too many to be told apart."""
        if process.last is None:
            return None
        report = process.last.report
        share = self._shares.get((report.instance, name))
        if share is None:
            return None
        if not process.live(now):
            gone = Absent(State.STALE, f"no report for {span(max(0.0, now - process.score))}")
            if process.recent(now):
                gone = Absent(State.UNAVAILABLE, process.problem)
            return CacheProcess(
                instance=report.instance,
                host=report.host,
                pid=report.pid,
                state=gone.state,
                tiers=silent_tiers(gone),
                coherence=gone,
                redis_answers=gone,
            )
        counts = report.caches[name]
        states = states_of(report, counts)
        limits = Limits(
            limit([state.max_items for state in states]),
            limit([state.max_bytes for state in states]),
        )
        return CacheProcess(
            instance=report.instance,
            host=report.host,
            pid=report.pid,
            state=State.OK,
            tiers=tiers(share.lookups, share.recent.rates(), (counts,), limits),
            coherence=coherence_of(report, states),
            redis_answers=redis_answers(states),
        )

    def _rates(self, name: str) -> CacheRates:
        covered = self._events.covered(0)
        if covered <= 0:
            return CacheRates(*(FIRST_SAMPLE,) * len(CacheRates._fields))
        counted = [self._events.counts(0, _key(what, name)) for what in CacheRates._fields]
        return CacheRates(*[each.calls / covered if each else 0.0 for each in counted])


def _key(what: str, name: str) -> str:
    return f"{what} {name}"


def _packed(name: str, growth: CacheGrowth) -> dict[str, int]:
    found = {}
    for what, amount in zip(growth._fields, growth, strict=True):
        if amount:
            # Calls have the lowest place, so that a bare count is packed already; sums of counts
            # that are possible each may be too many for it.
            found[_key(what, name)] = min(amount, MOST_LOOKUPS - 1)
    return found


def _worst(found: Sequence[Maybe[CacheCoherence]]) -> Maybe[CacheCoherence]:
    told = worst([each for each in found if not isinstance(each, Absent)])
    if told is not None:
        return told
    return NOT_USED if NOT_USED in found else NOT_LISTENED


def _went_back(before: CacheCounts, after: CacheCounts) -> bool:
    return (
        after.memory_hits < before.memory_hits
        or after.memory_misses < before.memory_misses
        or after.redis_hits < before.redis_hits
        or after.redis_misses < before.redis_misses
    )
