"""Rules that give information: how the operations of a service compare, and where its time goes.

None of it is trouble. It tells somebody who has time to make a service faster where to begin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules import evidence
from perftui.analysis.alerting.rules.operations import (
    ENOUGH,
    FEW,
    LONG,
    PANE,
    SOURCES,
    judged_services,
    named,
    window_of,
)
from perftui.analysis.bottlenecks import SLOW_FACTOR
from perftui.format import measure
from perftui.snapshot import Absent, Operation, Service, Snapshot

LEAST_PEERS = 8
"""Operations from which on their spread says what is usual among them."""
OUTLIER, OUTLIER_CLEAR = 3.5, 3.0
NORMAL = 0.6745
"""The median absolute deviation of a normal distribution with a standard deviation of 1."""
LEAST_DEVIATION = 0.1
"""Least median deviation of the logarithms: among operations that take the same time, a difference
of a few percent is no exception."""
MOST_OF_THE_TIME, MOST_CLEAR = 50.0, 45.0


def _called(service: Service) -> dict[str, tuple[Operation, float]]:
    """Return the operations of the last five minutes, with the mean in seconds of each."""
    window = window_of(service, LONG)
    return {
        operation.name: (operation, operation.mean)
        for operation in (window.operations if window else ())
        if not isinstance(operation.mean, Absent) and operation.mean > 0
    }


def _of_two(snapshot: Snapshot) -> Iterator[Reading]:
    for service in judged_services(snapshot):
        called = _called(service)
        if len(called) != 2:
            continue
        (one, first), (two, second) = called.values()
        fewer = min(one.count, two.count)
        for operation, mean, other in ((one, first, second), (two, second, first)):
            subject = f"{service.name}/{operation.name}"
            yield Reading(subject, mean / other, fewer, window=LONG, group=service.name)


def two_rule() -> Rule:
    """Return R02, the comparison with peers where there is but one peer.

    It is off as R01 is: two healthy operations with the usual spread of times differ by more than
    that in two services of three, for ever.
    """
    return Rule(
        id="R02",
        name="slower_than_other",
        title="Slower than the other operation",
        kind=Kind.RANKING,
        unit="x",
        levels=Levels(SLOW_FACTOR, 0.9 * SLOW_FACTOR, informs=True),
        measure=_of_two,
        message=lambda reading, level: (
            f"takes {reading.value:.1f} x as long as the service's other operation, above "
            f"{level:g} x (n={reading.n or 0:,} at least); that may be its nature"
        ),
        hint=lambda reading: "5 Operations, choose it, Enter shows its course",
        sources=SOURCES,
        pane=PANE,
        hold=30.0,
        keep=300.0,
        least=FEW,
        evidence=_about,
        enabled=False,
    )


class Outliers:
    """R04: operations far slower than the others of their service are among each other.

    The modified z-score of the logarithms of the means, by the median absolute deviation (Iglewicz
    and Hoaglin, How to Detect and Handle Outliers, 1993). Of 20 healthy operations with the usual
    spread it finds one in 1 of 20 services.
    """

    def __init__(self) -> None:
        self._medians: dict[str, float] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R04",
            name="slow_outlier",
            title="Far slower than its peers",
            kind=Kind.RANKING,
            unit="",
            levels=Levels(OUTLIER, OUTLIER_CLEAR, informs=True),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                "slow by nature or by mistake: 5 Operations, choose it, Enter shows its course"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=300.0,
            least=FEW,
            evidence=_about,
            measured_in="seconds",
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        self._medians = {}
        for service in judged_services(snapshot):
            found = [
                (operation, math.log(mean), mean)
                for operation, mean in _called(service).values()
                if operation.count >= FEW
            ]
            if len(found) < LEAST_PEERS:
                continue
            middle = median([logarithm for _, logarithm, _ in found])
            spread = median([abs(logarithm - middle) for _, logarithm, _ in found])
            scale = NORMAL / max(LEAST_DEVIATION, spread)
            self._medians[service.name] = math.exp(middle)
            for operation, logarithm, mean in found:
                yield Reading(
                    f"{service.name}/{operation.name}",
                    scale * (logarithm - middle),
                    operation.count,
                    None,
                    LONG,
                    service.name,
                    mean,
                )

    def message(self, reading: Reading, level: float) -> str:
        middle = self._medians.get(reading.group)
        if middle is None or reading.measured is None:
            return f"z-score {reading.value:.1f} among its peers, above {level:g}"
        return (
            f"{measure(reading.measured, 'seconds')} on average, "
            f"{reading.measured / middle:.1f} x the median {measure(middle, 'seconds')} of the "
            f"service's operations, z-score {reading.value:.1f} above {level:g} "
            f"(n={reading.n or 0:,} in 5 min)"
        )


def _shares(snapshot: Snapshot) -> Iterator[Reading]:
    for service in judged_services(snapshot):
        called = _called(service)
        # All of the time of the only operation goes into it, which is no news.
        if len(called) < 2:
            continue
        for name, (operation, _) in called.items():
            yield Reading(
                f"{service.name}/{name}",
                100 * operation.time_share,
                operation.count,
                None,
                LONG,
                service.name,
            )


def share_rule() -> Rule:
    """Return R05: an operation that takes most of the time of its service."""
    return Rule(
        id="R05",
        name="time_share",
        title="Where the time goes",
        kind=Kind.RANKING,
        unit="percent",
        levels=Levels(MOST_OF_THE_TIME, MOST_CLEAR, informs=True),
        measure=_shares,
        message=lambda reading, level: (
            f"{reading.value:.0f} % of the service's time (n={reading.n or 0:,} in 5 min)"
        ),
        hint=lambda reading: (
            "what is saved here counts most: 5 Operations, choose it, Enter shows its course; "
            "8 Processes, p profiles a process of the service"
        ),
        sources=SOURCES,
        pane=PANE,
        hold=60.0,
        keep=300.0,
        least=ENOUGH,
        evidence=_about,
    )


def _about(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    """Return the operation in numbers, the others by the time they take, and busy processes."""
    found = named(snapshot, reading.subject)
    if found is None:
        return ()
    service, name = found
    called = _called(service)
    own = called.pop(name, None)
    if own is None:
        return ()
    others = sorted(called.items(), key=lambda item: -item[1][0].time_share)
    return (
        _course(name, *own),
        *(_course(other, *values) for other, values in others[: evidence.LINES - 1]),
        *evidence.slowest_instances(service, name),
        *evidence.busiest(service),
        *evidence.top_calls(snapshot, evidence.pids_of(service)),
    )


def _course(name: str, operation: Operation, mean: float) -> str:
    return (
        f"{name}: {measure(operation.rate, '/s')}, {measure(mean, 'seconds')} on average, "
        f"{100 * operation.time_share:.0f} % of the time"
    )


def information_rules() -> tuple[Rule, ...]:
    """Return the rules that give information, with memories of their own."""
    return two_rule(), Outliers().rule(), share_rule()
