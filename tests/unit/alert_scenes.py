"""Snapshots for tests of rules, and services whose operations take random times."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from perftui.analysis.alerting.rule import Reading, Rule
from perftui.metrics.buckets import DEFAULT
from perftui.snapshot import (
    Cgroup,
    Cpu,
    Host,
    Memory,
    Resources,
    Service,
    Snapshot,
    SourceStatus,
    State,
)
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.packed_counts import layout

BEGIN = 1_800_000_000.0
PLACE = layout(DEFAULT)
ALL_WELL = tuple(
    SourceStatus(name, State.OK, "", "", 0.1, 0.01, 10.0, 0, 10)
    for name in ("host", "cgroup", "file_systems", "descriptors", "redis", "services", "pools")
)


def scene(seconds: float, **parts: object) -> Snapshot:
    """Return a snapshot so many seconds after the begin, all sources being well."""
    return Snapshot(1, BEGIN + seconds, 1000.0 + seconds, **{"sources": ALL_WELL, **parts})


def machine(cpu: float = 10.0, memory: float = 20.0, cgroup: Cgroup | None = None) -> Resources:
    """Return a machine of 8 cores."""
    return Resources(
        cpu=Cpu(cpu, (cpu,) * 8, cpu, 0.0, 0.0, 0.0, (1.0, 1.0, 1.0)),
        memory=Memory(memory, int(memory * 1e8), 10**10, int((100 - memory) * 1e8), 0),
        **({} if cgroup is None else {"cgroup": cgroup}),
    )


HOST = Host("box", "Linux", "6.1", 8, 1000.0)


def rule_of(rules: Iterable[Rule], wanted: str) -> Rule:
    """Return a rule by its id."""
    return next(rule for rule in rules if rule.id == wanted)


def readings(rule: Rule, snapshot: Snapshot) -> dict[str, Reading]:
    """Return what a rule measures, by subject."""
    return {reading.subject: reading for reading in rule.measure(snapshot)}


class Shop:
    """A service whose operations take log-normal times, counted in slots as the monitor does.

    `medians` are seconds by operation; one call in six seconds would be a `rate` of 1/6.
    """

    def __init__(
        self, chance: random.Random, medians: Mapping[str, float], rate: float = 5.0
    ) -> None:
        self.chance = chance
        self.medians = dict(medians)
        self.rate = rate
        self.spread = 0.8
        self.failing = 0.0
        self.seconds = 0.0
        self._slots = OperationSlots(lag=0.0)

    def go_on(self, seconds: float) -> Service:
        """Let time pass and return the service after it."""
        counts = {name: self._calls(median, seconds) for name, median in self.medians.items()}
        begin, self.seconds = self.seconds, self.seconds + seconds
        self._slots.watched_since(begin)
        self._slots.add_packed(PLACE, counts, begin, self.seconds)
        self._slots.advance(self.seconds)
        return Service("shop", 1, ("box",), 0.1, self._slots.windows(self.medians))

    def _calls(self, median: float, seconds: float) -> int:
        buckets = [0] * (len(DEFAULT) + 1)
        count = round(self.rate * seconds)
        total = 0.0
        for _ in range(count):
            duration = median * self.chance.lognormvariate(0.0, self.spread)
            buckets[bisect_left(DEFAULT, duration)] += 1
            total += duration
        failures = round(self.failing * count)
        return PLACE.pack(count, failures, 0, total, tuple(buckets))


def twenty(chance: random.Random) -> dict[str, float]:
    """Return the medians of 20 operations with the usual spread between operations."""
    return {f"operation {n}": 0.1 * chance.lognormvariate(0.0, 1.2) for n in range(20)}
