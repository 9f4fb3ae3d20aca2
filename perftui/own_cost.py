"""What the monitor itself costs: CPU, memory and bytes to the terminal."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from perftui.snapshot import FIRST_SAMPLE, Absent, Maybe, MonitorCost, State

WINDOW = 10
"""Ticks the shown cost is averaged over; a single tick jumps too much to be read."""


class _Mark(NamedTuple):
    at: float
    cpu: float
    sent: int


class OwnCost:
    """Measures this process over the last ticks; children (py-spy, demo) are not in it."""

    def __init__(self) -> None:
        self._terminal_bytes: Callable[[], int] | None = None
        self._marks: deque[_Mark] = deque(maxlen=WINDOW + 1)
        self.measure(time.monotonic())

    def count_terminal_bytes(self, total: Callable[[], int]) -> None:
        """Include what `total` counts, the bytes sent to a terminal so far."""
        self._terminal_bytes = total

    def measure(self, now: float) -> None:
        """Take one measurement at `now`."""
        sent = 0 if self._terminal_bytes is None else self._terminal_bytes()
        self._marks.append(_Mark(now, time.process_time(), sent))

    def reading(self, late_samples: int) -> MonitorCost:
        """Return the cost over the newest ticks."""
        first, last = self._marks[0], self._marks[-1]
        elapsed = last.at - first.at
        cpu: Maybe[float] = FIRST_SAMPLE
        rate: Maybe[float] = FIRST_SAMPLE
        if elapsed > 0:
            cpu = 100 * (last.cpu - first.cpu) / elapsed
            rate = (last.sent - first.sent) / elapsed
        if self._terminal_bytes is None:
            rate = Absent(State.NOT_COLLECTED, "no screen is open")
        return MonitorCost(cpu, _resident_set(), rate, late_samples)


def _resident_set() -> Maybe[int]:
    """Return bytes of resident memory, see proc(5) on /proc/PID/statm."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError as error:
        return Absent(State.UNAVAILABLE, f"/proc/self/statm: {error.strerror}")
