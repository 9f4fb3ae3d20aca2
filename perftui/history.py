"""History of the numbers that charts show: rings on one time base, with gaps."""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Mapping

GAP = math.nan
"""Stands where nothing was measured; charts leave the place empty, it is never drawn as zero."""


MOST_SERIES = 600
"""Series kept at once; beyond that those go that have been silent longest."""


class History:
    """Bounded rings of samples that share one time base.

    One thread records, any thread reads. A series that appears late is filled with gaps before
    its first sample; one that is missing in a tick gets a gap.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"history capacity must be at least 1, not {capacity}")
        self._capacity = capacity
        self._lock = threading.Lock()
        self._times = array("d")
        self._series: dict[str, array[float]] = {}
        self._last: dict[str, int] = {}
        self._next = 0
        self._version = 0

    @property
    def version(self) -> int:
        """Number of recorded ticks; a chart is out of date when it has grown."""
        return self._version

    def record(self, time: float, values: Mapping[str, float | None]) -> None:
        """Append one tick at `time` (monotonic seconds); None and unknown numbers are gaps."""
        with self._lock:
            length = len(self._times)
            full = length == self._capacity
            self._put(self._times, time, full)
            for name in values:
                if name not in self._series:
                    self._series[name] = array("d", [GAP]) * length
            self._last.update(dict.fromkeys(values, self._version))
            if len(self._series) > MOST_SERIES:
                self._drop_silent()
            for name, ring in self._series.items():
                value = values.get(name)
                self._put(ring, GAP if value is None else float(value), full)
            self._next = (self._next + 1) % self._capacity if full else 0
            self._version += 1

    def _drop_silent(self) -> None:
        """Make room: names of operations come and go for as long as the monitor runs."""
        silent = [name for name, version in self._last.items() if version != self._version]
        silent.sort(key=self._last.__getitem__)
        for name in silent[: len(self._series) - MOST_SERIES]:
            del self._series[name], self._last[name]

    def _put(self, ring: array[float], value: float, full: bool) -> None:
        if full:
            ring[self._next] = value
        else:
            ring.append(value)

    def series(self, name: str, count: int) -> array[float]:
        """Return the newest `count` samples of a series, oldest first, gaps as NaN.

        The answer is shorter when the monitor has not run that long, empty for an unknown name.
        """
        with self._lock:
            ring = self._series.get(name)
            return array("d") if ring is None else self._newest(ring, count)

    def times(self, count: int) -> array[float]:
        """Return the monotonic times of the newest `count` ticks, oldest first."""
        with self._lock:
            return self._newest(self._times, count)

    def _newest(self, ring: array[float], count: int) -> array[float]:
        ordered = ring[self._next :] + ring[: self._next]
        return ordered[-count:] if count > 0 else array("d")
