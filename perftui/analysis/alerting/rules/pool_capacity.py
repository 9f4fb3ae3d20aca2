"""Rules for pools that have too few servers: ineligible ones, a minimum, a maximum."""

from __future__ import annotations

from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules.pool_facts import (
    PANE,
    SOURCES,
    bring_back,
    eligible,
    pool_subject,
    why_not_well,
)
from perftui.quantities import YES_NO
from perftui.snapshot import Absent, Pool, PoolAdvice, Snapshot

ADVICE_AGE = 300.0
"""Seconds after which advice is not looked at."""
NOTHING_KNOWN = "6 Servers tells why: bring servers back, or start more"


class Shortage:
    """R26: fewer than half of a pool's servers are well, so that balancers use all live ones."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R26",
            name="pool_eligible",
            title="Pool short of servers",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(50.0, 60.0, 0.5, 25.0, above=False),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                bring_back(self._pools[reading.subject])
                if reading.subject in self._pools
                else NOTHING_KNOWN
            ),
            sources=SOURCES,
            pane=PANE,
            hold=5.0,
            keep=30.0,
            evidence=why_not_well,
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        self._pools = {pool_subject(pool): pool for pool in snapshot.all_pools}
        for subject, pool in self._pools.items():
            # Who is drained or maintained on purpose is not missed.
            wanted = [each for each in pool.servers if each.state not in ("maint", "drain")]
            fit = sum(map(eligible, wanted))
            if pool.servers:
                yield Reading(subject, 100 * fit / len(wanted) if wanted else 0.0, len(wanted))

    def message(self, reading: Reading, level: float) -> str:
        pool = self._pools.get(reading.subject)
        servers = reading.n or 0
        fit = round(reading.value * servers / 100)
        panic = pool is not None and pool.panic is True
        if not fit and not panic:
            return "no server can take requests"
        well = (
            f"{fit:,} of {servers:,} {'server' if servers == 1 else 'servers'} "
            f"({reading.value:.0f} %) can take requests, limit {level:g} %"
        )
        if panic:
            well += "; panic: balancers use all live servers, overloaded or not"
        return well


def _eligible_of(pool: Pool) -> int:
    return sum(map(eligible, pool.servers)) if isinstance(pool.eligible, Absent) else pool.eligible


class Minimum:
    """R26b: fewer servers may be picked than the pool's scaling says it must have."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R26b",
            name="pool_below_minimum",
            title="Pool below its minimum",
            kind=Kind.CAPACITY,
            unit="count",
            levels=Levels(crit=0.5, crit_clear=0.5),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                bring_back(self._pools[reading.subject])
                if reading.subject in self._pools
                else NOTHING_KNOWN
            ),
            sources=SOURCES,
            pane=PANE,
            hold=10.0,
            keep=30.0,
            evidence=why_not_well,
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        self._pools = {pool_subject(pool): pool for pool in snapshot.all_pools}
        for subject, pool in self._pools.items():
            if isinstance(pool.advice, Absent) or pool.advice.min_instances is None:
                continue
            missing = pool.advice.min_instances - _eligible_of(pool)
            yield Reading(subject, float(max(0, missing)))

    def message(self, reading: Reading, level: float) -> str:
        pool = self._pools.get(reading.subject)
        if pool is None or isinstance(pool.advice, Absent):
            return f"{reading.value:.0f} eligible servers fewer than the minimum"
        return (
            f"{_eligible_of(pool):,} eligible servers, the minimum of its scaling is "
            f"{pool.advice.min_instances:,}"
        )


class Exhausted:
    """R30: the pool has as many servers as it may have, and is above its threshold all the same."""

    def __init__(self) -> None:
        self._advice: dict[str, PoolAdvice] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R30",
            name="pool_exhausted",
            title="Pool at its maximum",
            kind=Kind.CAPACITY,
            unit=YES_NO,
            levels=Levels(crit=0.5, crit_clear=0.5),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                "raise max_instances of its ScalingConfig, or make requests cheaper: "
                "2 Operations shows the slowest"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=300.0,
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        self._advice = {
            pool_subject(pool): pool.advice
            for pool in snapshot.all_pools
            # Whoever advised an hour ago says nothing about now.
            if not isinstance(pool.advice, Absent) and pool.advice.age <= ADVICE_AGE
        }
        for subject, advice in self._advice.items():
            most, value, level = advice.max_instances, advice.value, advice.threshold
            full = most is not None and advice.current >= most
            over = value is not None and level is not None and value > level
            yield Reading(subject, float(full and over))

    def message(self, reading: Reading, level: float) -> str:
        advice = self._advice.get(reading.subject)
        if advice is None or advice.value is None or advice.threshold is None:
            return "has as many servers as it may have, and is above its threshold"
        if reading.value <= level:
            return f"has {advice.current:,} servers, {advice.max_instances or 0:,} at most"
        return (
            f"has all {advice.max_instances or 0:,} servers it may have, and {advice.metric} is "
            f"{advice.value:.4g}, above {advice.threshold:.4g}"
        )
