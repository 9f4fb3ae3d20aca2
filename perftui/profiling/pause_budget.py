"""Chooses how a process may be sampled so that the pauses it suffers stay within a budget.

A blocking sampler stops the process while it reads the stacks: exact, but not free. Without
stopping, stacks of Python 3.11 and newer are torn now and then: harmless for the function on top,
misleading for its callers. So small processes are read exactly, large ones without a pause.

A process that mostly waits is read without a pause, too: looking at the state of all threads and
stopping them takes longer than one of its bursts of computing, so most samples come too late and
show the next wait. Measured on a server of 12 threads that answers 25 requests a second with 18 %
of a core, a pausing sampler saw less than a quarter of the busy samples that the other one saw at
the same rate, and the budget would allow it less than half that rate. For a thread that runs all
the time both see the same.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

Mode: TypeAlias = Literal["auto", "exact", "safe"]
"""auto: exact while the budget allows it; exact: always pause; safe: never pause."""

MODES: tuple[Mode, ...] = ("auto", "exact", "safe")

BUDGET = 0.02
"""Share of time for which a process may be held."""

OPENING_BUDGET = 0.05
"""The same for the first seconds, which buy a table that is right soon."""

OPENING_FACTOR = 2.5
"""How much faster than usual the first seconds are sampled at most."""

LOWEST_EXACT_RATE = 25
"""Below this many samples per second auto mode prefers approximate stacks to few ones."""

LOWEST_RATE = 10
CROWDED_THREADS = 60
CROWDED_RATE = 20
"""Reading very many threads without pause costs the sampler itself too much above this rate."""

WAITS_MOSTLY = 0.35
RUNS_MOSTLY = 0.5
"""Steadiness (see there) at which a process begins to count as waiting, and as running again."""

TEMPO_MEMORY = 5.0
"""Seconds over which steadiness is averaged, so that one request does not change the plan."""

TEMPO_CPU = 0.01
"""CPU seconds needed before a process can be said to wait or to run."""

QUEUES = 0.5
QUEUES_NO_MORE = 0.25
"""Share of its active time a thread waits for a CPU at which a machine begins to count as too busy
for pauses, and as quiet again: a sampler that waits for a CPU holds the process meanwhile."""

TEMPO_QUEUE = 0.2
"""Active seconds needed before the machine can be said to be busy."""

MOST_SLOWNESS = 2.0
"""How many times as long as expected a sample is believed to hold a process at most."""

OWN_PAUSES = 3.0
"""A process that was off the CPUs for more than this many times the expected pauses has slept."""

SLOWNESS_STEP = 0.1
"""By how much the slowness must have changed for another plan."""

SLOWNESS_PAUSED = 0.02
"""Seconds of expected pauses needed before they can be compared with those that were."""

NATIVE_COST = 2.0
"""How much longer a sample takes when the frames of C functions are read, too."""

FIRST_TORN_PYTHON = (3, 11)
"""Older versions have no thread ids in memory: without pause every thread would look busy."""


class Plan(msgspec.Struct, frozen=True):
    """How to sample one process: rates per second, expected pause in percent of time."""

    exact: bool
    gil_only: bool
    rate: int
    opening_rate: int
    pause_percent: float
    opening_pause_percent: float
    note: str = ""


def tick_seconds(threads: int, frames: int) -> float:
    """Return how long one sample holds a process with so many system threads and Python frames.

    Fitted to processes with 1 to 151 threads and 3 to 600 frames, true within about a quarter on
    a machine that is not overloaded.
    """
    return (0.15 + 0.007 * frames + 0.022 * threads) / 1000


class Tempo:
    """Whether a process mostly waits, and whether for a CPU; used by one thread.

    `waits` follows from the steadiness of its windows, `queues` from the thread that ran most.
    `slowness` is how many times as long as by `tick_seconds` a sample holds that thread: 1 to
    MOST_SLOWNESS. Caches that are cold after each pause are part of it.
    """

    def __init__(self) -> None:
        self.waits = False
        self.queues = False
        self.slowness = 1.0
        self._held = 0.0
        self._paused = 0.0
        self._active = 0.0
        self._queued = 0.0
        self._cpu = 0.0
        self._ran = 0.0

    def add(self, steadiness: float | None, cpu_seconds: float, seconds: float) -> None:
        """Take in a window of `seconds` with its CPU seconds; None for an unknown steadiness."""
        keep = math.exp(-seconds / TEMPO_MEMORY)
        known = 0.0 if steadiness is None else cpu_seconds
        self._cpu = keep * self._cpu + known
        self._ran = keep * self._ran + known * (steadiness or 0.0)
        if self._cpu >= TEMPO_CPU:
            limit = RUNS_MOSTLY if self.waits else WAITS_MOSTLY
            self.waits = self._ran < limit * self._cpu

    def add_queue(self, queued: float, active: float, seconds: float) -> None:
        """Take in how long of its active seconds a thread waited for a CPU in a window."""
        keep = math.exp(-seconds / TEMPO_MEMORY)
        self._active = keep * self._active + active
        self._queued = keep * self._queued + queued
        if self._active >= TEMPO_QUEUE:
            limit = QUEUES_NO_MORE if self.queues else QUEUES
            self.queues = self._queued > limit * self._active

    def add_pauses(self, held: float, paused: float, seconds: float) -> None:
        """Take in for how long a thread neither ran nor waited for a CPU, and the expected pauses.

        `paused` is without what was known of the slowness. Meant for a thread that always computes:
        one that has slept by itself says nothing.
        """
        if paused <= 0 or held > OWN_PAUSES * paused:
            return
        keep = math.exp(-seconds / TEMPO_MEMORY)
        self._held = keep * self._held + max(0.0, held)
        self._paused = keep * self._paused + paused
        if self._paused >= SLOWNESS_PAUSED:
            slowness = min(MOST_SLOWNESS, max(1.0, self._held / self._paused))
            if abs(slowness - self.slowness) >= SLOWNESS_STEP:
                self.slowness = slowness


def choose_plan(
    mode: Mode,
    rate: int,
    python: tuple[int, ...],
    threads: int,
    frames: int,
    waits: bool = False,
    *,
    idle: bool = False,
    gil: bool = False,
    native: bool = False,
    refused: bool = False,
    queues: bool = False,
    crowd: int = 0,
    slowness: float = 1.0,
) -> Plan:
    """Return the plan for a process; `rate` is the most samples per second that are wanted.

    An unknown version of Python is an empty tuple and counts as a new one. `waits`: whether the
    process mostly waits. `idle`, `gil` and `native` as in ProfileRequest; C frames can only be read
    while the process is paused. `refused`: whether the system does not let it be paused. `queues`:
    whether it waits for a CPU so much that a pause would last long. Of a tree of processes
    `threads` and `frames` are those of the largest, `crowd` all threads together. `slowness`: see
    Tempo; it lowers the rate, but whether stacks are exact does not hang on a measurement.
    """
    tick = tick_seconds(threads, frames) * (NATIVE_COST if native else 1)
    affordable = int(BUDGET / tick)
    tick *= slowness
    if affordable >= LOWEST_EXACT_RATE:
        affordable = max(LOWEST_EXACT_RATE, int(BUDGET / tick))
    # What the sampler takes for running matters only where waiting threads shall not count.
    waits = waits and not idle and not gil
    if native:
        return _exact(rate, affordable, tick, native)
    if refused and mode == "auto":
        why = "another program traces it, so its stacks are read while it runs"
    elif mode == "exact":
        return _exact(rate, affordable, tick)
    elif mode == "safe":
        why = "stacks are read while the process runs"
    elif affordable < min(LOWEST_EXACT_RATE, rate):
        why = "pausing so large a process would cost it too much"
    elif queues:
        why = "on so busy a machine each pause would last long"
    elif waits:
        why = "a process that mostly waits is read without pauses"
    else:
        return _exact(rate, affordable, tick)
    return _approximate(rate, () if idle else python, max(threads, crowd), tick, why)


def _exact(rate: int, affordable: int, tick: float, native: bool = False) -> Plan:
    chosen = max(min(rate, affordable), min(rate, LOWEST_RATE))
    pause = 100 * chosen * tick
    opening = _opening_rate(chosen, tick)
    if chosen > affordable:
        note = f"sampling holds the process for {pause:.0f} % of the time"
        note += "; without C frames it need not" if native else "; safe mode does not"
    elif native:
        note = f"each sample pauses the process, {pause:.1f} % of its time: C frames take long"
    else:
        note = f"each sample pauses the process, {pause:.1f} % of its time"
    return Plan(
        exact=True,
        gil_only=False,
        rate=chosen,
        opening_rate=opening,
        pause_percent=pause,
        opening_pause_percent=100 * opening * tick,
        note=note,
    )


def _approximate(rate: int, python: tuple[int, ...], threads: int, tick: float, why: str) -> Plan:
    chosen = min(rate, CROWDED_RATE) if threads > CROWDED_THREADS else rate
    gil_only = bool(python) and python[:2] < FIRST_TORN_PYTHON
    if gil_only:
        version = ".".join(map(str, python[:2]))
        note = f"Python {version} without pauses: only the thread that holds the GIL is seen"
    else:
        note = f"the process is never paused, callers may be wrong: {why}"
    return Plan(
        exact=False,
        gil_only=gil_only,
        rate=chosen,
        opening_rate=_opening_rate(chosen, tick),
        pause_percent=0.0,
        opening_pause_percent=0.0,
        note=note,
    )


def _opening_rate(rate: int, tick: float) -> int:
    return max(rate, min(int(OPENING_BUDGET / tick), int(OPENING_FACTOR * rate)))
