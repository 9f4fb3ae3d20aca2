"""Rates from counters that are read from time to time."""

from __future__ import annotations

from collections.abc import Mapping

from perftui.snapshot import FIRST_SAMPLE, Absent, Maybe, State

TOO_SOON = Absent(State.NOT_COLLECTED, "the two samples are too close together")
WENT_BACK = Absent(State.NOT_COLLECTED, "a counter was reset since the last sample")


def counter_rate(before: float, after: float, seconds: float) -> Maybe[float]:
    """Return the growth per second, Absent when the counter wrapped or was reset."""
    if seconds <= 0:
        return TOO_SOON
    if after < before:
        return WENT_BACK
    return (after - before) / seconds


def summed_rate(
    before: Mapping[str, int], after: Mapping[str, int], seconds: float
) -> Maybe[float]:
    """Return the growth per second of all counters that are in both readings.

    A device that came since brings a counter with an unknown past and starts to count with the
    next reading. One counter that went back makes the sum unknown, not smaller.
    """
    names = before.keys() & after.keys()
    if not names:
        return FIRST_SAMPLE
    total = 0.0
    for name in names:
        rate = counter_rate(before[name], after[name], seconds)
        if isinstance(rate, Absent):
            return rate
        total += rate
    return total
