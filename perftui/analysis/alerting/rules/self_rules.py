"""Rules for the monitor itself: what it cannot see, and which numbers are not to be trusted."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules.operations import SOURCES, judged_services
from perftui.snapshot import Absent, Snapshot, SourceStatus, State

LOST = frozenset({State.UNAVAILABLE, State.STALE, State.DENIED})
ASKED_FOR = frozenset({"redis", "services", "pools", "scrape", "prometheus"})
"""Sources that somebody has named an address for: they are missed from the begin."""
BEHIND_REDIS = frozenset({"services", "pools", "queries", "redis_detail"})
SKEW = 2.0
MOST_OPERATIONS = 500
UNBOUNDED = 1000.0
"""What stands for a bucket without an upper bound."""
WIDE = 2.0


class LostSources:
    """R31: sources that gave readings before, or that somebody asked for, and give none.

    What this machine never had, such as control groups, is told by its pane alone.
    """

    def __init__(self) -> None:
        # By name of a source, address of a page, or mount point.
        self._worked: set[str] = set()
        self._since: dict[str, float] = {}
        self._reasons: dict[str, tuple[str, str]] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R31",
            name="source_lost",
            title="Source lost",
            kind=Kind.SELF,
            unit="seconds",
            levels=Levels(warn=0.0, warn_clear=0.0),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                self._reasons.get(reading.subject, ("", ""))[1]
                or "perftui doctor checks all sources and says what helps"
            ),
            sources=frozenset(),
            pane="alerts",
            hold=10.0,
            keep=5.0,
            evidence=lambda snapshot, reading: tuple(
                text for text in self._reasons.get(reading.subject, ()) if text
            ),
        )

    def message(self, reading: Reading, level: float) -> str:
        if reading.value <= level:
            return "gives readings again"
        return self._reasons.get(reading.subject, ("", ""))[0] or "gives no readings"

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        now = snapshot.monotonic
        redis = snapshot.status("redis")
        redis_lost = redis is not None and redis.state in LOST
        self._reasons = {}
        for status in snapshot.sources:
            name = status.name
            # One outage of Redis is one alert.
            lost = status.state in LOST and not (redis_lost and name in BEHIND_REDIS)
            if status.state is State.OK:
                self._worked.add(name)
            yield self._reading(
                name,
                now,
                status.reason,
                status.fix,
                # Calls are only sampled of a process that somebody chooses.
                lost and name != "top_calls" and (name in ASKED_FOR or name in self._worked),
            )
        if not isinstance(snapshot.scrape, Absent):
            for endpoint in snapshot.scrape.endpoints:
                if endpoint.state is State.OK:
                    self._worked.add(endpoint.address)
                lost = endpoint.state in LOST
                yield self._reading(endpoint.address, now, endpoint.reason, endpoint.fix, lost)
        if not isinstance(snapshot.file_systems, Absent):
            for mount in snapshot.file_systems.hung:
                reason = f"the file system at {mount} does not answer"
                quoted = shlex.quote(mount)
                fix = f"is its server reachable? findmnt {quoted} shows which; umount -l lets go"
                yield self._reading(mount, now, reason, fix, True)
            for mount, reason in snapshot.file_systems.refused:
                # What this user never could ask is nobody's loss.
                yield self._reading(
                    mount,
                    now,
                    f"the file system at {mount} fails: {reason}",
                    f"findmnt {shlex.quote(mount)} shows what is mounted there; dmesg -T why",
                    mount in self._worked,
                )
            for row in snapshot.file_systems.rows:
                self._worked.add(row.mount)
                yield self._reading(row.mount, now, "", "", False)

    def _reading(self, name: str, now: float, reason: str, fix: str, lost: bool) -> Reading:
        if not lost:
            self._since.pop(name, None)
            return Reading(name, 0.0)
        self._reasons[name] = reason, fix
        # Above zero from the first moment on: what is lost is lost, however shortly.
        return Reading(name, max(0.001, now - self._since.setdefault(name, now)))


def _slow_sources(snapshot: Snapshot) -> Iterator[Reading]:
    for status in snapshot.sources:
        if _paced(status) and status.duration is not None and status.state is State.OK:
            yield Reading(f"reading {status.name}", 100 * status.duration / status.interval)


def _paced(status: SourceStatus) -> bool:
    # Calls are sampled for as long as their window is, and first readings import what they need.
    return status.interval > 0 and status.name != "top_calls" and status.runs > 3


def _clocks(snapshot: Snapshot) -> Iterator[Reading]:
    for service in judged_services(snapshot):
        for instance in service.instances:
            if instance.state is State.OK and not isinstance(instance.clock_ahead, Absent):
                yield Reading(instance.id, abs(instance.clock_ahead), group=service.name)


def _coarse(snapshot: Snapshot) -> Iterator[Reading]:
    for service in judged_services(snapshot):
        for operation in service.windows[-1].operations if service.windows else ():
            if isinstance(operation.p95, Absent) or isinstance(operation.p99, Absent):
                continue
            low, high = operation.p95.low, operation.p95.high
            value = high / low if low > 0 else 0.0
            # So more than 1 % of the calls took longer than the last bound.
            if math.isinf(operation.p99.high):
                value = UNBOUNDED
            yield Reading(
                f"{service.name}/{operation.name}", value, operation.count, group=service.name
            )


def _operations(snapshot: Snapshot) -> Iterator[Reading]:
    for service in judged_services(snapshot):
        count = len(service.windows[-1].operations) if service.windows else 0
        yield Reading(service.name, float(count))


def _notes(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    return tuple(
        note
        for service in judged_services(snapshot)
        if service.name == reading.subject
        for note in service.notes
    )


def self_rules() -> tuple[Rule, ...]:
    """Return the rules for the monitor itself, with memories of their own."""
    return (
        LostSources().rule(),
        Rule(
            id="R31b",
            name="source_slow",
            title="Readings take long",
            kind=Kind.SELF,
            unit="percent",
            levels=Levels(50.0, 40.0),
            measure=_slow_sources,
            message=lambda reading, level: (
                f"takes {reading.value:.0f} % of the time between two readings, limit {level:g} %"
            ),
            hint=lambda reading: "raise monitor.interval, or the interval of that source",
            sources=frozenset(),
            pane="alerts",
            smoothing=30.0,
            hold=30.0,
            keep=60.0,
        ),
        Rule(
            id="R31c",
            name="clock_skew",
            title="Clock wrong",
            kind=Kind.SELF,
            unit="seconds",
            levels=Levels(SKEW, 0.8 * SKEW),
            measure=_clocks,
            message=lambda reading, level: (
                f"its host's clock is {reading.value:.1f} s from the clock of Redis, "
                f"limit {level:g} s"
            ),
            hint=lambda reading: "synchronise it: timedatectl status, chronyc tracking",
            sources=frozenset({"services"}),
            pane="operations",
            hold=60.0,
            keep=60.0,
        ),
        Rule(
            id="R32",
            name="coarse_quantile",
            title="Quantile not to be trusted",
            kind=Kind.SELF,
            unit="x",
            levels=Levels(WIDE, WIDE, informs=True),
            measure=_coarse,
            message=lambda reading, level: (
                "more than 1 % of its calls take longer than the last bound of its histogram"
                if reading.value >= UNBOUNDED
                else f"p95 lies somewhere in a bucket that is {reading.value:.1f} x as wide as its "
                f"begin, limit {level:g} x"
            ),
            hint=lambda reading: "give the histogram finer buckets around its usual durations",
            sources=SOURCES,
            pane="operations",
            hold=60.0,
            keep=60.0,
            least=100,
            # The default buckets of prometheus-client are that wide nearly everywhere.
            enabled=False,
        ),
        Rule(
            id="R33",
            name="many_operations",
            title="Too many operations",
            kind=Kind.CAPACITY,
            unit="count",
            levels=Levels(float(MOST_OPERATIONS), 0.9 * MOST_OPERATIONS),
            measure=_operations,
            message=lambda reading, level: (
                f"{reading.value:,.0f} names of operations, limit {level:g}: is an id in them?"
            ),
            hint=lambda reading: "name operations by route templates: /orders/{id}, not /orders/17",
            sources=SOURCES,
            pane="operations",
            hold=60.0,
            keep=300.0,
            evidence=_notes,
        ),
    )
