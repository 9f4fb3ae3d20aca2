"""Chooses how a process may be sampled so that the pauses it suffers stay within a budget.

A blocking sampler stops the process while it reads the stacks: exact, but not free. Without
stopping, stacks of Python 3.11 and newer are torn now and then: harmless for the function on top,
misleading for its callers. So small processes are read exactly, large ones without a pause.
"""

from __future__ import annotations

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


def choose_plan(mode: Mode, rate: int, python: tuple[int, ...], threads: int, frames: int) -> Plan:
    """Return the plan for a process; `rate` is the most samples per second that are wanted.

    An unknown version of Python is an empty tuple and counts as a new one.
    """
    tick = tick_seconds(threads, frames)
    affordable = int(BUDGET / tick)
    if mode == "exact" or (mode == "auto" and affordable >= min(LOWEST_EXACT_RATE, rate)):
        return _exact(rate, affordable, tick)
    return _approximate(rate, python, threads, tick, asked=mode == "safe")


def _exact(rate: int, affordable: int, tick: float) -> Plan:
    chosen = max(min(rate, affordable), min(rate, LOWEST_RATE))
    pause = 100 * chosen * tick
    opening = _opening_rate(chosen, tick)
    note = ""
    if chosen > affordable:
        note = f"sampling holds the process for {pause:.0f} % of the time; safe mode does not"
    return Plan(
        exact=True,
        gil_only=False,
        rate=chosen,
        opening_rate=opening,
        pause_percent=pause,
        opening_pause_percent=100 * opening * tick,
        note=note,
    )


def _approximate(
    rate: int, python: tuple[int, ...], threads: int, tick: float, asked: bool
) -> Plan:
    chosen = min(rate, CROWDED_RATE) if threads > CROWDED_THREADS else rate
    gil_only = bool(python) and python[:2] < FIRST_TORN_PYTHON
    if gil_only:
        version = ".".join(map(str, python[:2]))
        note = f"Python {version} without pauses: only the thread that holds the GIL is seen"
    elif asked:
        note = "callers may be wrong: stacks are read while the process runs"
    else:
        note = "callers may be wrong: pausing so large a process would cost it too much"
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
