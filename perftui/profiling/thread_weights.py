"""Says how much CPU time each sample of a thread stands for, and which samples for none.

Known are the CPU time of every thread (exact, from the kernel) and samples of threads that looked
active. In a service whose threads compute for a millisecond and then wait, most of those samples
show the wait: the thread was falling asleep, waking up or queueing for a CPU. Spread evenly, the
CPU time would put the waiting places on top of the table.

So the CPU time of a thread belongs to its busy samples: those not in a waiting place (waiting.py).
Only when a thread used clearly more CPU time than its busy samples can stand for, the rest belongs
to its waiting places: receiving much data, or a line that only looks like a wait, is real work and
stays in the table. Nothing here reads a clock or a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from perftui.profiling.speedscope import Profile, ThreadKey, ThreadProfile
from perftui.profiling.waiting import Waits

IDLE_CORES = 0.005
"""A thread that used less than this share of a core was only woken up by the sampler itself."""

IDLE_SHARE = 0.02
"""A thread that used less than this share of the busiest thread's CPU time counts as idle."""

MEMORY = 5.0
"""Seconds over which CPU time and samples of a thread are compared.

One second holds a few samples of a service: too few to divide by.
"""

STEADY = 0.5
"""Share of its time a thread must run for a sampler that pauses it to see what it does.

The sampler looks at the state of all threads, pauses them and then reads the stacks; a thread that
computes in short bursts has gone on to its next wait by then, and its busy samples are missing.
"""

ARRIVING = 1 / 1.1
"""Share of the wanted samples that arrive: some time goes by between two recordings."""

CLEARLY_MISSING = 0.8
"""Share of the wanted samples below which they are not just late, apart from chance."""


class Weighed(NamedTuple):
    """A profile with busy and waiting samples of a thread apart, as two threads of one id.

    `weights` holds for each of its threads the CPU seconds that one sample stands for, 0 for idle
    threads and for samples that used no CPU time. `cpu_seconds` is what all threads used that were
    not idle.
    """

    profile: Profile
    weights: tuple[float, ...]
    cpu_seconds: float


class ThreadWeights:
    """Weighs the windows of one process, one after the other; used by one thread.

    It remembers CPU time and samples of each thread for about MEMORY seconds, so a single window
    may add up to somewhat more or less than its CPU time.
    """

    def __init__(self) -> None:
        self._accounts: dict[ThreadKey, _Account] = {}

    def weigh(
        self,
        profile: Profile,
        cpu: Mapping[ThreadKey, float],
        seconds: float,
        sample_seconds: float,
        waits: Waits,
        paused: bool,
    ) -> Weighed:
        """Return the profile with the weights of its threads.

        `cpu` holds the CPU seconds of each thread during the window of `seconds`; a thread that
        is not in it (it ended, or the system does not tell) counts `sample_seconds` for each busy
        sample. `paused`: whether the sampler stopped the process for every sample.
        """
        idle = max(IDLE_CORES * seconds, IDLE_SHARE * max(cpu.values(), default=0.0))
        keep = math.exp(-seconds / MEMORY)
        self._accounts = {key: self._accounts[key] for key in cpu if key in self._accounts}
        for account in self._accounts.values():
            account.fade(keep)
        waiting_places = _waiting_places(profile, waits)
        threads: list[ThreadProfile] = []
        weights: list[float] = []
        used = 0.0
        for thread in profile.threads:
            busy, waiting = _split(thread, waiting_places)
            spent = cpu.get(thread.key)
            if spent is None:
                used += busy.samples * sample_seconds
                worth = sample_seconds, 0.0
            elif spent < idle:
                worth = 0.0, 0.0
            else:
                used += spent
                account = self._accounts.setdefault(thread.key, _Account())
                account.add(spent, sample_seconds, busy.samples, waiting.samples)
                believed = not paused or spent >= STEADY * seconds
                worth = account.worth(sample_seconds, believed)
            for part, weight in zip((busy, waiting), worth, strict=True):
                if part.stacks:
                    threads.append(part)
                    weights.append(weight)
        weighed = Profile(profile.frames, tuple(threads))
        return Weighed(weighed, tuple(weights), used)


class _Account:
    """What one thread used and showed of late; recent windows count most.

    The times are samples times the seconds that each of them stood for: windows that are sampled
    faster have more samples, of which each is worth less.
    """

    __slots__ = ("busy", "busy_time", "cpu", "expected", "waiting", "waiting_time")

    def __init__(self) -> None:
        self.cpu = 0.0
        self.expected = 0.0
        self.busy = 0.0
        self.busy_time = 0.0
        self.waiting = 0.0
        self.waiting_time = 0.0

    def fade(self, keep: float) -> None:
        """Let the past count for the share `keep` of what it did."""
        self.cpu *= keep
        self.expected *= keep
        self.busy *= keep
        self.busy_time *= keep
        self.waiting *= keep
        self.waiting_time *= keep

    def add(self, cpu: float, sample_seconds: float, busy: int, waiting: int) -> None:
        """Add a window: CPU seconds, seconds between two samples, and the samples that came."""
        self.cpu += cpu
        self.expected += cpu / sample_seconds
        self.busy += busy
        self.busy_time += busy * sample_seconds
        self.waiting += waiting
        self.waiting_time += waiting * sample_seconds

    def worth(self, sample_seconds: float, believed: bool) -> tuple[float, float]:
        """Return the CPU seconds that a busy and a waiting sample of this window stand for.

        `believed`: whether missing busy samples prove that the CPU time was used elsewhere.
        """
        share = self._waiting_share(believed)
        used = self.cpu * sample_seconds
        busy = (1 - share) * used / self.busy_time if self.busy_time > 0 else 0.0
        waiting = share * used / self.waiting_time if self.waiting_time > 0 else 0.0
        return busy, waiting

    def _waiting_share(self, believed: bool) -> float:
        if self.waiting <= 0 or not (believed or self.busy <= 0):
            return 0.0
        # What a count may have been: three deviations of Poisson's distribution more than it is.
        most = self.busy + 3 * math.sqrt(self.busy) + 3
        if most >= CLEARLY_MISSING * self.expected:
            return 0.0
        return 1 - self.busy / (ARRIVING * self.expected)


def every_sample_counts(
    profile: Profile, cpu: Mapping[ThreadKey, float], sample_seconds: float
) -> Weighed:
    """Return the profile with `sample_seconds` for each sample, whatever its thread did meanwhile.

    For samples that stand for time that passed: of threads that wait, or that hold a lock. The
    CPU seconds are those of all threads.
    """
    weights = (sample_seconds,) * len(profile.threads)
    return Weighed(profile, weights, sum(cpu.values()))


def steadiness(active: Mapping[ThreadKey, float], seconds: float) -> float | None:
    """Return the share of its time that a thread was active, as a mean over all active seconds.

    `active` are the seconds each thread ran or waited for a CPU: a thread that gets none stays in
    its place and is no more than slow. 1 for a process whose threads compute all the time, near 0
    for one that mostly waits; None when no thread's time is known.
    """
    used = sum(active.values())
    if not active or seconds <= 0:
        return None
    if used <= 0:
        return 0.0
    return min(1.0, sum(spent * spent for spent in active.values()) / used / seconds)


def _waiting_places(profile: Profile, waits: Waits) -> frozenset[int]:
    leaves = {stack[-1] for thread in profile.threads for stack, _ in thread.stacks if stack}
    return frozenset(place for place in leaves if waits(profile.frames[place]))


def _split(
    thread: ThreadProfile, waiting_places: frozenset[int]
) -> tuple[ThreadProfile, ThreadProfile]:
    busy = tuple(part for part in thread.stacks if part[0] and part[0][-1] not in waiting_places)
    waiting = tuple(part for part in thread.stacks if part[0] and part[0][-1] in waiting_places)
    return (
        ThreadProfile(thread.tid, thread.name, thread.process, busy),
        ThreadProfile(thread.tid, thread.name, thread.process, waiting),
    )
