"""The profile that a process of a service made of itself, as Top calls shows it."""

from __future__ import annotations

import math

from perftui.metrics.profile_reading import ProfileReading, ReportedCall
from perftui.metrics.report import ServiceReport
from perftui.snapshot import NOT_PROFILED, Absent, Call, Maybe, ProfileRequest, State, TopCalls

MOST_CALLS = 200
"""Functions of one process that are shown; a process reports fewer."""

STOPPED = Absent(
    State.NOT_COLLECTED,
    "the CodeProfiler of the process does not run",
    "call its start_profiling() in the service, or use py-spy",
)
IMPOSSIBLE = Absent(State.UNAVAILABLE, "the profile in its report has impossible numbers")
WALL_TIME = Absent(State.UNAVAILABLE, "cProfile counts wall time, not CPU time")
SLOWS_CALLS = Absent(
    State.UNAVAILABLE, "cProfile makes every call slower instead of pausing the process"
)
NO_STACKS = Absent(State.UNAVAILABLE, "cProfile keeps functions, not stacks")

_REQUEST = ProfileRequest(mode="exact", idle=True, window=0.0)


def own_profile(report: ServiceReport) -> Maybe[TopCalls]:
    """Return what the process spent its time in, by its own account; wall seconds."""
    reading = report.profile
    if reading is None:
        return NOT_PROFILED
    if not reading.running:
        return STOPPED
    calls = reading.calls[:MOST_CALLS]
    if not _possible(reading, calls):
        return IMPOSSIBLE
    seconds = reading.seconds
    left_out = reading.functions - len(calls)
    note = reading.note
    if left_out > 0:
        rest = "1 lighter function is" if left_out == 1 else f"{left_out:,} lighter functions are"
        note = f"{note}; {rest} left out" if note else f"{rest} left out"
    return TopCalls(
        pid=report.pid,
        command=report.service,
        python=reading.python,
        calls=tuple(
            Call(
                function=call.function,
                file=call.file,
                line=call.line,
                own_percent=_percent(call.own, seconds),
                total_percent=_percent(call.total, seconds),
                own=call.own,
                total=call.total,
            )
            for call in sorted(calls, key=lambda call: call.own, reverse=True)
        ),
        window=reading.window,
        samples=reading.count,
        errors=0,
        cores=WALL_TIME,
        mode="exact",
        rate_wanted=0.0,
        rate_reached=0.0,
        coverage_percent=100.0,
        pause_percent=SLOWS_CALLS,
        note=note,
        source="cProfile",
        seconds=seconds,
        processes=(report.pid,),
        stacks=NO_STACKS,
        request=_REQUEST,
        since_reset=True,
    )


def _percent(part: float, seconds: float) -> float:
    return min(100.0, 100.0 * part / seconds) if seconds > 0 else 0.0


def _possible(reading: ProfileReading, calls: tuple[ReportedCall, ...]) -> bool:
    times = [reading.window, reading.seconds]
    for call in calls:
        times += call.own, call.total
    return reading.count >= 0 and all(math.isfinite(time) and time >= 0 for time in times)
