"""Rules for the operations of services; those of a Prometheus server are judged by its own."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

from perftui.analysis.alerting.baselines import SPAN, Baselines
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules import evidence
from perftui.analysis.bottlenecks import SLOW_FACTOR
from perftui.format import measure
from perftui.snapshot import Absent, Operation, OperationWindow, Quantile, Service, Snapshot

SOURCES = frozenset({"services", "scrape"})
PANE = "operations"
MINUTE, LONG = 60.0, 300.0
"""Windows of seconds that operations are judged by."""

ENOUGH = 100
"""Calls from which on the p95 of one window is worth a verdict: noise alone doubles it in less
than 1 of 1,000 windows."""
CERTAIN = 300
"""Calls from which on a window of five minutes needs no second one: it may be one of many."""
FEW = 30
"""Calls from which on three windows together are worth a verdict."""
PAST_CALLS, RARE_PAST_CALLS = 100, 1000
"""Calls that the past has to consist of before anything is compared with it; more for operations
whose windows are five minutes long, of which it has few."""
FLOOR = 0.05
"""Seconds below which nobody waits, however many times slower than usual that is."""
WARN, WARN_CLEAR, CRIT, CRIT_CLEAR = 2.0, 1.6, 4.0, 3.0
BUSY_SERVICE = 300
"""Calls that a service usually answers in five minutes before a lack of them means anything: below
one a second, chance alone halves a minute now and then."""


def judged_services(snapshot: Snapshot) -> list[Service]:
    """Return the services that perftui watches itself; one that it knows twice counts once."""
    found: dict[str, Service] = {}
    for service in snapshot.all_services:
        if service.origin != "prometheus":
            found.setdefault(service.name, service)
    return list(found.values())


def window_of(service: Service, seconds: float) -> OperationWindow | None:
    """Return the window of a service that is about so many seconds long."""
    return next((w for w in service.windows if abs(w.seconds - seconds) < 1), None)


def named(snapshot: Snapshot, subject: str) -> tuple[Service, str] | None:
    """Return service and operation of a subject `service/operation`."""
    for service in judged_services(snapshot):
        if subject.startswith(f"{service.name}/"):
            return service, subject[len(service.name) + 1 :]
    return None


class SlowOperation:
    """R03: p95 of the last minute, or of five for a rare operation, against its own past.

    Peers say nothing about an operation: of 20 healthy ones with the usual spread, two are always
    slower than twice the mean. Its own past found a five times slower one each time.
    """

    def __init__(self) -> None:
        self._baselines = Baselines(lambda value, usual: value > WARN_CLEAR * usual)
        self._windows: dict[str, deque[tuple[float, float]]] = {}
        self._usual: dict[str, float] = {}
        self._snapshot: Snapshot | None = None

    def rule(self) -> Rule:
        return Rule(
            id="R03",
            name="slow_operation",
            title="Slow operation",
            kind=Kind.SYMPTOM,
            unit="x",
            levels=Levels(WARN, WARN_CLEAR, CRIT, CRIT_CLEAR),
            measure=self.measure,
            message=self.message,
            hint=self.hint,
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=120.0,
            least=FEW,
            evidence=self.evidence,
            measured_in="seconds",
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        self._snapshot = snapshot
        now = snapshot.monotonic
        known, windows = {}, {}
        for service in judged_services(snapshot):
            for operation, p95, window in _timed(service):
                subject = f"{service.name}/{operation.name}"
                # A past of few calls is as much a matter of chance as a window of few.
                past = PAST_CALLS if window == MINUTE else RARE_PAST_CALLS
                span = min(SPAN / 2, past / operation.rate)
                usual = self._baselines.usual(subject, now, p95.value, span)
                if usual is None or usual <= 0:
                    continue
                value = p95.value / usual
                if p95.value <= FLOOR or value <= chance(operation.count):
                    value = min(value, 1.0)
                if operation.count < CERTAIN and window == LONG:
                    earlier = windows[subject] = self._windows.get(subject) or deque(maxlen=2)
                    needed = 1 if operation.count >= ENOUGH else 2
                    value = _confirmed(earlier, now, window, value, needed)
                known[subject] = usual
                yield Reading(
                    subject,
                    value,
                    operation.count,
                    None,
                    window,
                    service.name,
                    p95.value,
                    usual,
                )
        self._usual, self._windows = known, windows

    def message(self, reading: Reading, level: float) -> str:
        usual = self._usual.get(reading.subject)
        if usual is None:
            return f"p95 is {reading.value:.1f} x its usual, limit {level:g} x"
        return (
            f"p95 {measure(reading.value * usual, 'seconds')} is {reading.value:.1f} x its usual "
            f"{measure(usual, 'seconds')}, limit {level:g} x "
            f"(n={reading.n or 0:,} in {reading.window / 60:.0f} min)"
        )

    def hint(self, reading: Reading) -> str:
        found = self._snapshot and named(self._snapshot, reading.subject)
        open_it = "5 Operations, choose it, Enter shows which process and which bucket"
        if not found or not (busy := evidence.instances_by_cpu(found[0])):
            return f"profile a process of the service: 8 Processes, choose it, p; {open_it}"
        percent, instance = busy[0]
        if percent < 50:
            return (
                f"its processes wait more than they compute ({percent:.0f} % of a core at most): "
                f"look at what they call, 4 Cache for Redis; {open_it}"
            )
        if isinstance(instance.pid, Absent):
            return f"{instance.id} is busy at {percent:.0f} % of a core; {open_it}"
        return (
            f"process {instance.pid} is the busiest ({percent:.0f} % of a core): choose it in "
            f"8 Processes, p profiles it; {open_it}"
        )

    def evidence(self, snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
        found = named(snapshot, reading.subject)
        if found is None:
            return ()
        service, name = found
        return (
            *_course(service, name),
            *evidence.slowest_instances(service, name),
            *evidence.busiest(service),
            *evidence.top_calls(snapshot, evidence.pids_of(service)),
        )


def chance(calls: int) -> float:
    """Return up to how many times its usual the p95 of so many calls rises by chance alone.

    The logarithm of the 95th percentile of n log-normal times with a standard deviation of 1 has
    one of about 2.1 / sqrt(n); three of them are hardly ever passed. From 75 calls on that is less
    than the level of the rule.
    """
    return math.exp(6 / math.sqrt(max(1, calls)))


def _timed(service: Service) -> Iterator[tuple[Operation, Quantile, float]]:
    """Return each operation with p95 and length of its shortest window with enough calls."""
    minute, long = window_of(service, MINUTE), window_of(service, LONG)
    short = {} if minute is None else {each.name: each for each in minute.operations}
    for operation in () if long is None else long.operations:
        recent = short.get(operation.name)
        if recent is not None and recent.count >= ENOUGH and not isinstance(recent.p95, Absent):
            yield recent, recent.p95, MINUTE
        elif operation.count >= FEW and not isinstance(operation.p95, Absent):
            yield operation, operation.p95, LONG


def _confirmed(
    earlier: deque[tuple[float, float]], now: float, window: float, value: float, needed: int
) -> float:
    """Return the least of this window's value and those of the windows before it."""
    if not earlier or now - earlier[-1][0] >= window:
        earlier.append((now, value))
    past = [then for begin, then in earlier if now - begin >= (window if needed == 1 else 0)]
    if len(past) < needed or now - earlier[0][0] < window:
        return min(value, 1.0)
    return min(value, *past[-needed:])


def _course(service: Service, name: str) -> tuple[str, ...]:
    """Return rate, mean and errors of an operation over the last minute."""
    window = window_of(service, MINUTE)
    operation = next((o for o in window.operations if o.name == name), None) if window else None
    if operation is None or isinstance(operation.mean, Absent):
        return ()
    line = (
        f"{measure(operation.rate, '/s')}, {measure(operation.mean, 'seconds')} on average, "
        f"{100 * operation.time_share:.0f} % of the time of {service.name}"
    )
    if not isinstance(operation.error_ratio, Absent) and operation.error_ratio > 0:
        line += f", {100 * operation.error_ratio:.1f} % fail"
    return (line,)


def peers_rule() -> Rule:
    """Return R01, the literal comparison with peers.

    It is off: it finds two of 20 healthy operations slow for ever. Who has operations that are
    alike can switch it on.
    """

    def readings(snapshot: Snapshot) -> Iterator[Reading]:
        for service in judged_services(snapshot):
            called = {
                operation.name: operation
                for operation in (service.windows[-1].operations if service.windows else ())
                if not isinstance(operation.mean, Absent)
            }
            if len(called) < 3:
                continue
            means = {n: o.mean for n, o in called.items() if not isinstance(o.mean, Absent)}
            average = math.fsum(means.values()) / len(means)
            for name, mean in means.items():
                value = mean / average if average > 0 else 0.0
                yield Reading(
                    f"{service.name}/{name}", value, called[name].count, group=service.name
                )

    return Rule(
        id="R01",
        name="slower_than_peers",
        title="Slower than its peers",
        kind=Kind.SYMPTOM,
        unit="x",
        levels=Levels(warn=SLOW_FACTOR, warn_clear=0.9 * SLOW_FACTOR),
        measure=readings,
        message=lambda reading, level: (
            f"takes {reading.value:.1f} x the mean of the service's operations, limit {level:g} x "
            f"(n={reading.n or 0:,}); relative to peers, which may be its nature"
        ),
        hint=lambda reading: "5 Operations, choose it, Enter shows its course",
        sources=SOURCES,
        pane=PANE,
        hold=30.0,
        least=FEW,
        enabled=False,
    )


def errors_rule() -> Rule:
    """Return R07: the share of calls that fail over five minutes; Netdata's levels."""

    def readings(snapshot: Snapshot) -> Iterator[Reading]:
        for service in judged_services(snapshot):
            window = window_of(service, LONG)
            for operation in window.operations if window else ():
                if not isinstance(operation.error_ratio, Absent):
                    yield Reading(
                        f"{service.name}/{operation.name}",
                        100 * operation.error_ratio,
                        operation.count,
                        window=LONG,
                        group=service.name,
                    )

    def behind(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
        found = named(snapshot, reading.subject)
        if found is None:
            return ()
        service, name = found
        statuses = [
            f"{status.status}: {status.count:,} calls"
            for detail in service.details
            if detail.operation == name
            for status in sorted(detail.statuses, key=lambda each: -each.count)[: evidence.LINES]
            if status.status != "success"
        ]
        return (*_course(service, name), *statuses)

    return Rule(
        id="R07",
        name="error_ratio",
        title="Failing calls",
        kind=Kind.ERROR,
        unit="percent",
        levels=Levels(2.0, 1.0, 5.0, 2.0),
        measure=readings,
        message=lambda reading, level: (
            f"{reading.value:.1f} % of the calls fail, limit {level:g} % "
            f"(n={reading.n or 0:,} in 5 min)"
        ),
        hint=lambda reading: "5 Operations, choose it, Enter shows how its calls end",
        sources=SOURCES,
        pane=PANE,
        hold=60.0,
        keep=300.0,
        least=120,
        evidence=behind,
    )


class FewSuccesses:
    """R08: calls that succeed per second, of a whole service, against the minutes before."""

    def __init__(self) -> None:
        self._baselines = Baselines(lambda value, usual: value < 0.75 * usual, gap=MINUTE)
        self._usual: dict[str, float] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R08",
            name="few_successes",
            title="Traffic broke off",
            kind=Kind.SYMPTOM,
            unit="x",
            levels=Levels(0.5, 0.7, 0.25, 0.4, above=False),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                "5 Operations shows which calls are missing; 6 Servers whether requests arrive"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=30.0,
            keep=300.0,
            least=BUSY_SERVICE,
            measured_in="/s",
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        known = {}
        for service in judged_services(snapshot):
            minute, long = window_of(service, MINUTE), window_of(service, LONG)
            # Before a window is full, its rate says more about the begin than about the traffic.
            if minute is None or long is None or minute.covered < 0.9 * MINUTE:
                continue
            rate = _successes(minute.operations)
            usual = self._baselines.usual(service.name, snapshot.monotonic, rate)
            if usual is None or usual <= 0:
                continue
            known[service.name] = usual
            before = round(usual * long.covered)
            yield Reading(
                service.name,
                rate / usual,
                before,
                window=MINUTE,
                group=service.name,
                measured=rate,
                usual=usual,
            )
        self._usual = known

    def message(self, reading: Reading, level: float) -> str:
        usual = self._usual.get(reading.subject)
        share = f"{100 * reading.value:.0f} % of the usual"
        if usual is None:
            return f"calls that succeed are {share}, limit {100 * level:g} %"
        return (
            f"{measure(reading.value * usual, '/s')} calls succeed, {share} "
            f"{measure(usual, '/s')}, limit {100 * level:g} %"
        )


def _successes(operations: Iterable[Operation]) -> float:
    return math.fsum(
        operation.rate
        * (1 - (0.0 if isinstance(operation.error_ratio, Absent) else operation.error_ratio))
        for operation in operations
    )


def operation_rules() -> tuple[Rule, ...]:
    """Return the rules for operations, with memories of their own."""
    return SlowOperation().rule(), errors_rule(), FewSuccesses().rule(), peers_rule()
