"""A bounded sample of what queries cost, more of the newer ones than of the old."""

from __future__ import annotations

from random import Random
from typing import Final

from perftui.queries.evidence import Point

_MEMORY: Final = 10
"""The sample is one of the last so many times its size: old behaviour fades out of it."""


class PointBudget:
    """How many points all samples of a log may hold together."""

    def __init__(self, total: int, least: int = 10) -> None:
        self.left = total
        self.least = least

    def take(self, held: int) -> bool:
        """Whether a sample with `held` points may hold one more."""
        if held < self.least or self.left > 0:
            self.left -= 1
            return True
        return False


class PointSample:
    """At most `size` points of one shape.

    Reservoir sampling (J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985), with
    the number of candidates held at ten times the size so that newer points prevail.
    """

    __slots__ = ("_budget", "_points", "_random", "_seen", "_size")

    def __init__(self, size: int, budget: PointBudget, random: Random) -> None:
        self._points: list[Point] = []
        self._size = size
        self._seen = 0
        self._budget = budget
        self._random = random

    def wants(self) -> int | None:
        """Return the place where the next point would go, None if it is not wanted.

        Asked before a point is made: most are not wanted once the sample is full.
        """
        self._seen += 1
        held = len(self._points)
        if held < self._size and self._budget.take(held):
            return held
        if not held:
            return None
        place = int(self._random.random() * min(self._seen, held * _MEMORY))
        return place if place < held else None

    def put(self, place: int, point: Point) -> None:
        """Keep a point at the place that `wants` returned."""
        if place == len(self._points):
            self._points.append(point)
        else:
            self._points[place] = point

    def release(self) -> None:
        """Give the room of a sample that is no longer needed to others."""
        self._budget.left += len(self._points)
        self._points = []

    def points(self) -> tuple[Point, ...]:
        """Return the points, oldest first."""
        return tuple(sorted(self._points, key=lambda point: point.time))
