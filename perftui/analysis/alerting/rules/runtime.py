"""Rules for what Python itself holds up: event loops and garbage collection of services."""

from __future__ import annotations

from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules import evidence
from perftui.analysis.alerting.rules.operations import SOURCES, judged_services
from perftui.format import measure
from perftui.snapshot import Absent, GcPauses, Instance, LoopLag, Service, Snapshot, State

PANE = "operations"
TICKS = 50
REPEATED = 15.0
"""Seconds that a level has to be passed: a reading is of 10 s and up to 4 s old, so that a single
block alone is gone before."""


def _live(snapshot: Snapshot) -> Iterator[tuple[Service, Instance]]:
    for service in judged_services(snapshot):
        for instance in service.instances:
            if instance.state is State.OK:
                yield service, instance


def _lags(snapshot: Snapshot) -> Iterator[tuple[Service, Instance, LoopLag]]:
    for service, instance in _live(snapshot):
        if not isinstance(instance.loop_lag, Absent):
            yield service, instance, instance.loop_lag


def _pauses(snapshot: Snapshot) -> Iterator[tuple[Service, Instance, GcPauses]]:
    for service, instance in _live(snapshot):
        if not isinstance(instance.gc_pauses, Absent):
            yield service, instance, instance.gc_pauses


def _p95_lag(snapshot: Snapshot) -> Iterator[Reading]:
    for service, instance, lag in _lags(snapshot):
        yield Reading(instance.id, lag.p95, lag.ticks, window=lag.window, group=service.name)


def _longest_lag(snapshot: Snapshot) -> Iterator[Reading]:
    for service, instance, lag in _lags(snapshot):
        yield Reading(instance.id, lag.longest, lag.ticks, window=lag.window, group=service.name)


def _gc_share(snapshot: Snapshot) -> Iterator[Reading]:
    for service, instance, pauses in _pauses(snapshot):
        yield Reading(instance.id, pauses.percent, window=pauses.window, group=service.name)


def _gc_longest(snapshot: Snapshot) -> Iterator[Reading]:
    for service, instance, pauses in _pauses(snapshot):
        yield Reading(instance.id, pauses.longest, window=pauses.window, group=service.name)


def _behind(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    for service, instance in _live(snapshot):
        if instance.id != reading.subject:
            continue
        lines = [f"process of {service.name}"]
        if not isinstance(instance.cpu_percent, Absent):
            lines.append(f"uses {instance.cpu_percent:.0f} % of a core")
        if not isinstance(instance.gc_pauses, Absent):
            pauses = instance.gc_pauses
            lines.append(
                f"{pauses.collections:,} garbage collections took {pauses.percent:.1f} % of the "
                f"last {pauses.window:.0f} s, the longest {measure(pauses.longest, 'seconds')}"
            )
        if not isinstance(instance.pid, Absent):
            lines += evidence.top_calls(snapshot, frozenset({instance.pid}))
        return tuple(lines)
    return ()


def runtime_rules() -> tuple[Rule, ...]:
    """Return the rules for event loops and garbage collection."""
    return (
        Rule(
            id="R20",
            name="loop_lag",
            title="Event loop late",
            kind=Kind.SATURATION,
            unit="seconds",
            levels=Levels(0.05, 0.04),
            measure=_p95_lag,
            message=lambda reading, level: (
                f"5 % of what is due runs {measure(reading.value, 'seconds')} late or more, "
                f"limit {measure(level, 'seconds')} (n={reading.n or 0:,} ticks)"
            ),
            hint=lambda reading: (
                "choose the process in 8 Processes, p profiles it: what computes or blocks in a "
                "coroutine belongs into a thread"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=REPEATED,
            keep=60.0,
            least=TICKS,
            evidence=_behind,
            inhibited_by=frozenset({"R20b"}),
        ),
        Rule(
            id="R20b",
            name="loop_blocked",
            title="Event loop blocked",
            kind=Kind.SATURATION,
            unit="seconds",
            levels=Levels(crit=0.25, crit_clear=0.2),
            measure=_longest_lag,
            message=lambda reading, level: (
                f"blocked for up to {measure(reading.value, 'seconds')} again and again, "
                f"limit {measure(level, 'seconds')}"
            ),
            hint=lambda reading: (
                "choose the process in 8 Processes, p profiles it: a blocking call in a coroutine"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=REPEATED,
            keep=60.0,
            least=TICKS,
            evidence=_behind,
        ),
        Rule(
            id="R21",
            name="gc_share",
            title="Garbage collection",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(5.0, 4.0, 15.0, 12.0),
            measure=_gc_share,
            message=lambda reading, level: (
                f"pauses take {reading.value:.1f} % of the time, limit {level:g} %"
            ),
            hint=lambda reading: (
                "gc.freeze() after start, a higher gc.set_threshold(), fewer objects that are kept"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=30.0,
            keep=120.0,
            evidence=_behind,
        ),
        Rule(
            id="R21b",
            name="gc_pause",
            title="Long garbage collection",
            kind=Kind.SATURATION,
            unit="seconds",
            levels=Levels(0.1, 0.08),
            measure=_gc_longest,
            message=lambda reading, level: (
                f"single pauses last up to {measure(reading.value, 'seconds')} again and again, "
                f"limit {measure(level, 'seconds')}"
            ),
            hint=lambda reading: (
                "gc.freeze() after start keeps what stays out of it; collect by hand when idle"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=30.0,
            keep=120.0,
            evidence=_behind,
            inhibited_by=frozenset({"R21"}),
        ),
    )
