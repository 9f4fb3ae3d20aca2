"""Turns recordings of py-spy into weighed windows, and several windows into one table of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from perftui.profiling.call_table import ProfileWindow, Tally, call_table, tally
from perftui.profiling.pause_budget import Plan
from perftui.profiling.speedscope import Profile, parse_speedscope
from perftui.profiling.thread_weights import ThreadWeights
from perftui.profiling.waiting import Waits
from perftui.snapshot import Absent, Maybe, State, TopCalls
from perftui.sources.pyspy.process import Finished
from perftui.sources.pyspy.thread_cpu import CpuReading, ThreadTime, time_between

NO_THREAD_TIMES = Absent(State.UNAVAILABLE, "the CPU time of threads is only known with /proc")

MANY_ERRORS = 0.1
"""Share of samples that could not be read above which the user is told."""

LONG_QUEUE = 0.25
"""Share of its active time that a thread waits for a CPU above which the user is told.

All samples of one wait show the same stack, so the shares then scatter more than their number says.
"""

_COUNTS = re.compile(r"Samples: \d+ Errors: (\d+)")
_BEHIND = re.compile(r"(\d+(?:\.\d+)?)s behind in sampling")


class Seen(NamedTuple):
    """One window with its function times.

    `cpu_seconds` is what threads used that were not idle; `steadiness` as of Weighed. `rate` is the
    rate py-spy was asked for, `behind` how many seconds it fell behind. The thread
    that ran most tells how many samples arrived: `busiest_samples` in `busiest_active` seconds of
    running or waiting for a CPU, `busiest_waiting` of them waiting; 0 seconds when no thread ran
    enough to tell.
    """

    window: ProfileWindow
    times: Tally
    cpu_seconds: float
    steadiness: float | None
    rate: int
    pause_percent: float
    busiest_samples: int
    busiest_active: float
    busiest_waiting: float
    behind: float
    measured: bool


def understand(
    finished: Finished,
    before: CpuReading,
    after: CpuReading,
    rate: int,
    pause_percent: float,
    thread_weights: ThreadWeights,
    waits: Waits,
) -> Seen:
    """Weigh what a recording holds with the CPU time its threads used meanwhile.

    Raises ValueError when the data are not a profile.
    """
    profile = parse_speedscope(finished.data)
    used = time_between(before, after)
    seconds = max(after.taken - before.taken, 1e-6)
    cpu = {tid: spent.running for tid, spent in used.items()}
    counts = _COUNTS.findall(finished.log)
    errors = int(counts[-1]) if counts else 0
    weighed = thread_weights.weigh(
        profile,
        cpu,
        seconds,
        sample_seconds=(1 + errors / max(1, profile.samples)) / rate,
        waits=waits,
        paused=pause_percent > 0,
    )
    samples, busiest = _busiest(profile, used)
    active = busiest.running + busiest.waiting
    tells = active >= seconds / 2
    return Seen(
        window=ProfileWindow(
            started=finished.ended if finished.attached is None else finished.attached,
            ended=finished.ended,
            seconds=seconds,
            profile=weighed.profile,
            weights=weighed.weights,
            errors=errors,
        ),
        times=tally(weighed.profile, weighed.weights),
        cpu_seconds=weighed.cpu_seconds,
        steadiness=weighed.steadiness,
        rate=rate,
        pause_percent=pause_percent,
        busiest_samples=samples,
        busiest_active=active if tells else 0.0,
        busiest_waiting=busiest.waiting if tells else 0.0,
        behind=max((float(text) for text in _BEHIND.findall(finished.log)), default=0.0),
        measured=bool(before.threads),
    )


def top_calls(seen: Sequence[Seen], pid: int, command: str, python: str, plan: Plan) -> TopCalls:
    """Return the table over all windows, which must not be none; rates are means over them."""
    windows = [part.window for part in seen]
    sampled = sum(window.ended - window.started for window in windows)
    spanned = windows[-1].ended - windows[0].started
    coverage = min(1.0, sampled / spanned) if spanned > 0 else 0.0
    samples = sum(window.samples for window in windows)
    errors = sum(window.errors for window in windows)
    wanted = sum(part.rate * _length(part) for part in seen) / sampled if sampled > 0 else 0.0
    pause = sum(part.pause_percent * _length(part) for part in seen) / sampled if sampled else 0.0
    cpu_seconds = sum(part.cpu_seconds for part in seen)
    cores: Maybe[float] = NO_THREAD_TIMES
    if seen[-1].measured:
        cores = cpu_seconds / sum(window.seconds for window in windows)
    return TopCalls(
        pid=pid,
        command=command,
        python=python,
        calls=call_table(part.times for part in seen),
        window=spanned,
        samples=samples,
        errors=errors,
        cores=cores,
        mode="exact" if plan.exact else "approximate",
        rate_wanted=wanted,
        rate_reached=_rate_reached(seen, wanted, coverage, samples, errors),
        coverage_percent=100 * coverage,
        pause_percent=pause,
        note=_note(seen, plan, samples, errors),
    )


def _length(part: Seen) -> float:
    return part.window.ended - part.window.started


def _rate_reached(
    seen: Sequence[Seen], wanted: float, coverage: float, samples: int, errors: int
) -> float:
    """Return the samples a second that arrived of a thread that always runs.

    Measured on the busiest thread where one ran enough, else what coverage and errors left over.
    """
    active = sum(part.busiest_active for part in seen)
    if active > 0:
        return sum(part.busiest_samples for part in seen if part.busiest_active) / active
    good = samples / (samples + errors) if samples + errors else 1.0
    return wanted * coverage * good


def _busiest(profile: Profile, used: Mapping[int, ThreadTime]) -> tuple[int, ThreadTime]:
    """Return samples and times of the thread that ran or wanted to run most."""
    best, samples = ThreadTime(0.0, 0.0), 0
    for thread in profile.threads:
        spent = used.get(thread.tid)
        if spent is not None and sum(spent) > sum(best):
            best, samples = spent, thread.samples
    return samples, best


def _note(seen: Sequence[Seen], plan: Plan, samples: int, errors: int) -> str:
    notes = [plan.note] if plan.note else []
    behind = seen[-1].behind
    if behind > 0:
        notes.append(f"py-spy is {behind:.1f} s behind: the machine is too busy for this rate")
    if errors > MANY_ERRORS * (samples + errors):
        notes.append(f"{100 * errors / (samples + errors):.0f} % of the samples failed")
    active = sum(part.busiest_active for part in seen)
    waiting = sum(part.busiest_waiting for part in seen)
    if waiting > LONG_QUEUE * active:
        share = 100 * waiting / active
        notes.append(f"it waits {share:.0f} % of its time for a CPU: shares settle slowly")
    if samples == 0 and not errors:
        notes.append("the process used next to no CPU time")
    return "; ".join(notes)
