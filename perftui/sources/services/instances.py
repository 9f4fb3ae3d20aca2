"""The processes of a service as rows, the silent ones too."""

from __future__ import annotations

from collections.abc import Sequence

from perftui.metrics.probe_readings import ProbeReadings
from perftui.metrics.report import ServiceReport
from perftui.snapshot import NOT_PROBED, Absent, GcPauses, Instance, LoopLag, Maybe, State
from perftui.sources.services.own_profile import own_profile
from perftui.sources.services.process import ServiceProcess

MOST_INSTANCES = 1000
SKEW_SECONDS = 2.0
"""Seconds by which a clock may differ without a word; reports are written that much apart."""

EXPIRED = Absent(State.STALE, "its last report has expired")
NO_UPTIME = Absent(State.NOT_COLLECTED, "the process does not report since when it counts")
NO_RESOURCES = Absent(
    State.NOT_COLLECTED,
    "the process does not report what it uses",
    "leave the parameter `resources` of Reporter at its default",
)
NO_LOOP = Absent(
    State.NOT_COLLECTED,
    "no event loop of the process is watched",
    "call Reporter.watch_loop() where the loop runs",
)
NO_CLOCK = Absent(State.NOT_COLLECTED, "the process does not tell its clock")
NOT_MEASURED = Absent(State.UNAVAILABLE, "the process could not measure it")


def instances(processes: Sequence[ServiceProcess], now: float) -> tuple[Instance, ...]:
    """Return the processes by host and id, the live ones first, `MOST_INSTANCES` at most."""
    rows = sorted(processes, key=lambda process: (not process.recent(now), *place_of(process)))
    return tuple(_instance(process, now) for process in rows[:MOST_INSTANCES])


def place_of(process: ServiceProcess) -> tuple[str, int, str]:
    pid = 0 if process.last is None else process.last.report.pid
    return process.host, pid, process.instance


def _instance(process: ServiceProcess, now: float) -> Instance:
    age = max(0.0, now - process.score)
    silent = not process.recent(now)
    if process.last is None:
        absent = EXPIRED
        if process.problem and not silent:
            absent = Absent(State.UNAVAILABLE, process.problem)
        return Instance(
            id=process.instance,
            host=process.host,
            pid=absent,
            state=absent.state,
            last_seen=age,
            uptime=absent,
            cpu_percent=absent,
            memory_rss=absent,
            note=absent.reason,
            profile=absent,
        )
    report = process.last.report
    gone = Absent(State.STALE, f"no report for {span(age)}") if silent else None
    use = report.resources
    cpu: Maybe[float] = NO_RESOURCES
    memory: Maybe[int] = NO_RESOURCES
    if use is not None:
        cpu = NOT_MEASURED if use.cpu_percent is None else use.cpu_percent
        memory = NOT_MEASURED if use.memory_rss is None else use.memory_rss
    return Instance(
        id=report.instance,
        host=report.host,
        pid=report.pid,
        state=State.STALE if silent else State.OK,
        last_seen=age,
        uptime=report.uptime if report.uptime > 0 else NO_UPTIME,
        cpu_percent=gone or cpu,
        memory_rss=gone or memory,
        note=process.problem or _clock_note(report),
        loop_lag=gone or _loop_lag(report.probes),
        gc_pauses=gone or _gc_pauses(report.probes),
        clock_ahead=report.clock - report.time if report.clock else NO_CLOCK,
        profile=gone or own_profile(report),
    )


def _loop_lag(probes: ProbeReadings | None) -> Maybe[LoopLag]:
    if probes is None:
        return NOT_PROBED
    if not probes.lag_ticks:
        return NO_LOOP
    return LoopLag(probes.lag_p95, probes.lag_longest, probes.lag_ticks, probes.window)


def _gc_pauses(probes: ProbeReadings | None) -> Maybe[GcPauses]:
    if probes is None or probes.window <= 0:
        return NOT_PROBED
    percent = min(100.0, 100 * probes.gc_seconds / probes.window)
    return GcPauses(percent, probes.gc_longest, probes.gc_collections, probes.window)


def _clock_note(report: ServiceReport) -> str:
    ahead = report.clock - report.time
    if not report.clock or abs(ahead) <= SKEW_SECONDS:
        return ""
    return f"its clock is {span(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"


def span(seconds: float) -> str:
    """Return a span of time with the two largest units that matter."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    if hours:
        return f"{hours} h {minute} min"
    return f"{minutes} min {second} s" if minutes else f"{second} s"
