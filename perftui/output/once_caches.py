"""The caches of services as plain text."""

from __future__ import annotations

from perftui import format as show
from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import (
    Absent,
    CacheCoherence,
    CacheNamespace,
    CacheProcess,
    CacheTier,
    HitRatio,
    Maybe,
    Service,
    Snapshot,
    State,
)

MOST_PROCESSES = 20
"""Processes of one namespace that have a line each."""


def hits(ratio: HitRatio) -> str:
    """Return hit ratios with their windows."""
    windows = (
        ("10 s", ratio.seconds_10),
        ("100 s", ratio.seconds_100),
        ("1000 s", ratio.seconds_1000),
    )
    return ", ".join(f"{_percent(value)} in {name}" for name, value in windows)


class CachesWriter(TextWriter):
    """Writes the caches; every line names its service and its namespace."""

    def caches(self, snapshot: Snapshot) -> Lines:
        services = snapshot.services
        if isinstance(services, Absent):
            yield from self.absent(services)
            return
        lines = [
            line
            for service in services
            for cache in service.caches
            for line in self._namespace(service, cache)
        ]
        yield from lines or ["no service reports a cache"]

    def _namespace(self, service: Service, cache: CacheNamespace) -> Lines:
        name = f"{self.clean(service.name)} {self.clean(cache.namespace)}"
        for tier in cache.tiers:
            yield f"{name} {self.clean(tier.tier)}: {_tier(tier)}"
        yield f"{name} coherence: {self._coherence(cache.coherence, len(cache.processes))}"
        if not isinstance(cache.coherence, Absent) and cache.coherence.fix:
            yield f"{name} fix: {self.clean(cache.coherence.fix)}"
        if not isinstance(cache.ghost_ratio, Absent):
            yield (
                f"{name} ghost: twice the memory would answer {_percent(cache.ghost_ratio)} "
                "of its look-ups in 100 s"
            )
        if not isinstance(cache.loads_rate, Absent):
            yield f"{name} loads: {_events(cache.loads_rate)}"
        for process in cache.processes[:MOST_PROCESSES]:
            yield f"{name} {self._process(process)}"
        more = len(cache.processes[MOST_PROCESSES:]) + cache.more_processes
        if more:
            yield f"{name} and {more:,} more {'process' if more == 1 else 'processes'}"

    def _process(self, process: CacheProcess) -> str:
        pid = "-" if isinstance(process.pid, Absent) else str(process.pid)
        head = f"process {self.clean(process.host)} {pid}: "
        if process.state is not State.OK:
            reason = process.coherence.reason if isinstance(process.coherence, Absent) else ""
            return f"{head}{process.state.value}{reason and ', '}{self.clean(reason)}"
        ratios = [
            f"{self.clean(tier.tier)} {_percent(tier.hit_ratio.seconds_100)}"
            for tier in process.tiers
        ]
        coherence = process.coherence
        known = "coherence -" if isinstance(coherence, Absent) else self.clean(coherence.state)
        silent = ", Redis does not answer" if process.redis_answers is False else ""
        held = [_held(tier) for tier in process.tiers if tier.tier == "memory"]
        return f"{head}{', '.join([*ratios, *held, known])}{silent}"

    def _coherence(self, coherence: Maybe[CacheCoherence], processes: int) -> str:
        if isinstance(coherence, Absent):
            return self.clean(show.absence(coherence))
        words = [self.clean(coherence.state)]
        if coherence.reason:
            words[0] += f" ({self.clean(coherence.reason)})"
        if not isinstance(coherence.lag, Absent):
            words.append(f"lag {show.duration(coherence.lag).strip()}")
        if not isinstance(coherence.bound, Absent) and coherence.bound > 0:
            words.append(f"values at most {show.duration(coherence.bound).strip()} old")
        if not isinstance(coherence.lost, Absent) and coherence.lost:
            words.append(f"lost {'once' if coherence.lost == 1 else f'{coherence.lost:,} times'}")
        if processes > 1:
            words.append("the worst process")
        return ", ".join(words)


def _tier(tier: CacheTier) -> str:
    words = [
        f"hit ratio {hits(tier.hit_ratio)}",
        _held(tier),
        f"evicted {_events(tier.evictions_rate)}",
    ]
    for name, rate in (
        ("expired", tier.expirations_rate),
        ("look-ups", tier.lookups_rate),
        ("errors", tier.errors_rate),
    ):
        if not isinstance(rate, Absent):
            words.append(f"{name} {_events(rate)}")
    return ", ".join(words)


def _held(tier: CacheTier) -> str:
    items, size = show.count(tier.items).strip(), show.size(tier.size).strip()
    if not isinstance(tier.items_limit, Absent):
        items += f" of {show.count(tier.items_limit).strip()}"
    if not isinstance(tier.size_limit, Absent):
        size += f" of {show.size(tier.size_limit).strip()}"
    return f"items {items}, size {size}"


def _percent(value: Maybe[float]) -> str:
    return f"{show.ratio(value).strip()}{'' if isinstance(value, Absent) else ' %'}"


def _events(value: Maybe[float]) -> str:
    return show.rate(value).strip()
