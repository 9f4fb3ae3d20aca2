"""Turns one recording of py-spy into a weighed window."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from perftui.profiling.call_table import Tally, tally, whole
from perftui.profiling.speedscope import Profile, ThreadKey, of_process, parse_speedscope
from perftui.profiling.thread_weights import ThreadWeights, every_sample_counts, steadiness
from perftui.profiling.waiting import Waits
from perftui.sources.pyspy.process import Finished
from perftui.sources.pyspy.thread_cpu import CpuReading, ThreadTime, time_between

_COUNTS = re.compile(r"Samples: \d+ Errors: (\d+)")
_BEHIND = re.compile(r"(\d+(?:\.\d+)?)s behind in sampling")


class Terms(NamedTuple):
    """How a recording was made: samples per second, expected pause in percent of the time.

    `all_count`: every sample stands for time that passed, whatever its thread did. `slowness` is
    the part of the expected pause that was learned, as in Tempo.
    """

    rate: int
    pause_percent: float
    all_count: bool = False
    slowness: float = 1.0


class Sums(NamedTuple):
    """What adds up over windows: seconds but for the counts.

    `sampled` is how long py-spy looked, `spanned` the same with the gap before it, `measured` how
    long CPU time was measured and `cpu` what threads used that were not idle; `weighted` is what
    the samples stand for. `wanted` are the samples asked for, `paused` the expected pauses.

    The thread that ran most tells how many samples arrived: `busiest_samples` in `busiest_active`
    seconds of running or waiting for a CPU, `busiest_waiting` of them waiting; 0 seconds when no
    thread ran enough to tell.
    """

    sampled: float = 0.0
    spanned: float = 0.0
    measured: float = 0.0
    cpu: float = 0.0
    weighted: float = 0.0
    samples: int = 0
    errors: int = 0
    wanted: float = 0.0
    paused: float = 0.0
    busiest_samples: int = 0
    busiest_active: float = 0.0
    busiest_waiting: float = 0.0

    def plus(self, other: Sums) -> Sums:
        """Return both together."""
        return Sums(
            sampled=self.sampled + other.sampled,
            spanned=self.spanned + other.spanned,
            measured=self.measured + other.measured,
            cpu=self.cpu + other.cpu,
            weighted=self.weighted + other.weighted,
            samples=self.samples + other.samples,
            errors=self.errors + other.errors,
            wanted=self.wanted + other.wanted,
            paused=self.paused + other.paused,
            busiest_samples=self.busiest_samples + other.busiest_samples,
            busiest_active=self.busiest_active + other.busiest_active,
            busiest_waiting=self.busiest_waiting + other.busiest_waiting,
        )


class ThreadUse(NamedTuple):
    """What a thread used in a window: CPU seconds, None when unknown, and samples that count."""

    name: str
    cpu: float | None
    samples: int


class Seen(NamedTuple):
    """One window with its function times; `profile` has one weight for each of its threads.

    `started` and `ended` are monotonic seconds, `steadiness` is as in thread_weights, `behind` how
    many seconds py-spy fell behind, `processes` are all that were sampled.
    """

    started: float
    ended: float
    sums: Sums
    times: Tally
    profile: Profile
    weights: tuple[float, ...]
    threads: Mapping[ThreadKey, ThreadUse]
    processes: frozenset[int]
    steadiness: float | None
    behind: float
    measured: bool


def understand(
    finished: Finished,
    pid: int,
    before: CpuReading,
    after: CpuReading,
    terms: Terms,
    thread_weights: ThreadWeights,
    waits: Waits,
) -> Seen:
    """Weigh what a recording of process `pid` holds with the CPU time its threads used meanwhile.

    Raises ValueError when the data are not a profile.
    """
    profile = of_process(parse_speedscope(finished.data), pid)
    used = time_between(before, after)
    seconds = max(after.taken - before.taken, 1e-6)
    cpu = {key: spent.running for key, spent in used.items()}
    counts = _COUNTS.findall(finished.log)
    errors = int(counts[-1]) if counts else 0
    sample_seconds = (1 + errors / max(1, profile.samples)) / terms.rate
    if terms.all_count:
        weighed = every_sample_counts(profile, cpu, sample_seconds)
    else:
        weighed = thread_weights.weigh(
            profile,
            cpu,
            seconds,
            sample_seconds=sample_seconds,
            waits=waits,
            paused=terms.pause_percent > 0,
        )
    times = tally(weighed.profile, weighed.weights)
    threads = _threads(weighed.profile, weighed.weights, cpu)
    started = finished.ended if finished.attached is None else finished.attached
    sampled = finished.ended - started
    busiest_samples, busiest = _busiest(profile, used)
    active = busiest.running + busiest.waiting
    tells = active >= seconds / 2 and not terms.all_count
    return Seen(
        started=started,
        ended=finished.ended,
        sums=Sums(
            sampled=sampled,
            spanned=sampled,
            measured=seconds,
            cpu=weighed.cpu_seconds,
            weighted=whole(times),
            samples=sum(thread.samples for thread in threads.values()),
            errors=errors,
            wanted=terms.rate * sampled,
            paused=terms.pause_percent / 100 * sampled,
            busiest_samples=busiest_samples if tells else 0,
            busiest_active=active if tells else 0.0,
            busiest_waiting=busiest.waiting if tells else 0.0,
        ),
        times=times,
        profile=weighed.profile,
        weights=weighed.weights,
        threads=threads,
        processes=frozenset(
            thread.process for thread in profile.threads if thread.process is not None
        ),
        steadiness=steadiness({key: sum(spent) for key, spent in used.items()}, seconds),
        behind=max((float(text) for text in _BEHIND.findall(finished.log)), default=0.0),
        measured=bool(before.threads),
    )


def _threads(
    profile: Profile, weights: tuple[float, ...], cpu: Mapping[ThreadKey, float]
) -> dict[ThreadKey, ThreadUse]:
    """Return the threads with samples that count."""
    threads: dict[ThreadKey, ThreadUse] = {}
    for thread, weight in zip(profile.threads, weights, strict=True):
        if weight > 0 and thread.samples:
            known = threads.get(thread.key)
            samples = thread.samples + (known.samples if known else 0)
            threads[thread.key] = ThreadUse(thread.name, cpu.get(thread.key), samples)
    return threads


def _busiest(profile: Profile, used: Mapping[ThreadKey, ThreadTime]) -> tuple[int, ThreadTime]:
    """Return samples and times of the thread that ran or wanted to run most."""
    best, samples = ThreadTime(0.0, 0.0), 0
    for thread in profile.threads:
        spent = used.get(thread.key)
        if spent is not None and sum(spent) > sum(best):
            best, samples = spent, thread.samples
    return samples, best
