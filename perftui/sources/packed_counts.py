"""The counts of one operation packed into one integer, so that adding them is one addition.

A histogram has thirty buckets, and a fleet reports thousands of histograms every two seconds:
element by element that costs a monitor more than everything else. In an integer every count has
64 bits of its own, which no sum here outgrows, and sums and differences are exact.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from perftui.analysis.quantiles import common_bounds, project

SCALE = 1 << 16
"""What one call weighs in a sum, so that calls can be split between slots of time."""
MOST_BOUNDS = 500

_LANE = 64
_LIMIT = 1 << 44
"""Calls that no process can have made in its life."""
_NANO = 10**9


class Counts(NamedTuple):
    """Calls, those whose outcome is told, failed and cancelled ones, seconds, and per bucket.

    `buckets` has one more place than `bounds`, for +Inf; calls are fractions where a slot of time
    has a part of them only.
    """

    calls: float
    told: float
    failures: float
    cancelled: float
    seconds: float
    bounds: tuple[float, ...]
    buckets: tuple[float, ...]

    @property
    def whole_buckets(self) -> tuple[int, ...]:
        """The buckets rounded so that they add up to the rounded number of calls."""
        steps = [round(value) for value in accumulate(self.buckets, initial=0.0)]
        return tuple([after - before for before, after in pairwise(steps)])


class Layout:
    """Where the counts of an operation lie in an integer, for histograms with the same bounds.

    From the lowest bits on: calls, failed ones, ones of unknown outcome, cancelled ones, one place
    per bucket with +Inf last, and nanoseconds, which have no upper limit.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        places = 4 + len(bounds) + 1
        self._struct = struct.Struct(f"<{places + 1}Q")
        self._sum = struct.Struct(f"<{places + 2}Q")
        self._guard = sum(1 << (_LANE * place + _LANE - 1) for place in range(places + 1))
        above = (1 << (_LANE - 1)) - _LIMIT
        self._excess = self._guard | sum(above << (_LANE * place) for place in range(places))

    def pack(
        self,
        count: int,
        failures: int,
        cancelled: int,
        seconds: float,
        buckets: Sequence[int],
        untold: int = 0,
    ) -> int:
        """Return the counts as one integer; ValueError for what no process can have counted."""
        try:
            packed = int.from_bytes(
                self._struct.pack(
                    count, failures, untold, cancelled, *buckets, round(seconds * _NANO)
                ),
                "little",
            )
        except (struct.error, OverflowError, ValueError):
            raise ValueError("impossible counts") from None
        if packed & self._excess:
            raise ValueError("impossible counts")
        return packed

    def growth(self, after: int, before: int) -> int:
        """Return by how much counts have grown; they began again at zero where there are fewer."""
        guard = self._guard
        # A guard bit stays where the place below it has not become less, and stops the borrow.
        difference = (after | guard) - before
        if difference & guard == guard:
            return difference ^ guard
        if after & _MASK < before & _MASK:
            return after
        news, olds = self._sum_of(after), self._sum_of(before)
        grown = [max(0, new - old) for new, old in zip(news, olds, strict=True)]
        return int.from_bytes(self._sum.pack(*grown), "little")

    def unpack(self, weighed: int) -> Counts:
        """Return what a sum of weighed counts holds."""
        values = self._sum_of(weighed)
        nanoseconds = values[-2] + (values[-1] << _LANE)
        scaled = [value / SCALE for value in values]
        return Counts(
            scaled[0],
            (values[0] - values[2]) / SCALE,
            scaled[1],
            scaled[3],
            nanoseconds / (SCALE * _NANO),
            self.bounds,
            tuple(scaled[4:-2]),
        )

    def _sum_of(self, packed: int) -> tuple[int, ...]:
        return self._sum.unpack(packed.to_bytes(self._sum.size, "little"))


_MASK = (1 << _LANE) - 1


@functools.lru_cache(maxsize=256)
def layout(bounds: tuple[float, ...]) -> Layout:
    """Return the layout for these bounds; ValueError where they do not ascend or are too many."""
    ascending = all(low < high for low, high in pairwise(bounds))
    if not ascending or not all(map(math.isfinite, bounds)) or len(bounds) > MOST_BOUNDS:
        raise ValueError("the bounds of the buckets are not ascending numbers")
    return Layout(bounds)


def together(parts: Sequence[Counts]) -> Counts:
    """Return the sum of counts with different bounds, for the bounds that all of them have.

    Processes of one service can use different buckets, as while a new release is rolled out.
    """
    bounds = functools.reduce(common_bounds, [part.bounds for part in parts])
    buckets = zip(*[project(part.buckets, part.bounds, bounds) for part in parts], strict=True)
    sums = [math.fsum(values) for values in zip(*[part[:5] for part in parts], strict=True)]
    calls, told, failures, cancelled, seconds = sums
    return Counts(
        calls, told, failures, cancelled, seconds, bounds, tuple(math.fsum(b) for b in buckets)
    )
