"""Which page size costs least: a robust line of latency against rows, and what people read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import ceil
from random import Random
from statistics import median
from typing import Final

import msgspec

from perftui.queries.evidence import Spread

SIZES: Final = (10, 20, 25, 50, 100, 200, 250, 500, 1_000)
LEAST_SHARE: Final = 0.15
LEAST_SECONDS: Final = 0.005
"""A smaller saving, as a share or in seconds per session, is not worth a change."""

LEAST_SIZES: Final = 3
_MOST_PAIRS: Final = 4_000


class Line(msgspec.Struct, frozen=True):
    """latency = base + per_row x rows, in seconds; fitted to `n` answers of `sizes` lengths.

    `per_row_low` and `per_row_high` bound the slope with 95 % confidence.
    """

    base: float
    per_row: float
    n: int
    sizes: int
    per_row_low: float
    per_row_high: float

    def latency(self, rows: float) -> float:
        """Return the seconds that an answer of so many rows takes."""
        return self.base + self.per_row * rows


class PageSize(msgspec.Struct, frozen=True):
    """The best size and what a session costs with it and with the present one, in seconds."""

    size: int
    seconds: float
    seconds_now: float

    @property
    def saved(self) -> float:
        """Seconds that a session saves."""
        return self.seconds_now - self.seconds

    @property
    def share(self) -> float:
        """The saving as a share of what a session costs now."""
        return self.saved / self.seconds_now if self.seconds_now > 0 else 0.0

    @property
    def worthwhile(self) -> bool:
        """Whether it saves more than 15 % and more than 5 ms."""
        return self.share > LEAST_SHARE and self.saved > LEAST_SECONDS


def theil_sen(points: Sequence[tuple[float, float]]) -> Line | None:
    """Return the line through (rows, seconds) whose slope is the median of all pairs' slopes.

    None with fewer than 3 distinct numbers of rows: a line cannot be told from them. The interval
    of the slope is P. K. Sen's, "Estimates of the regression coefficient based on Kendall's tau",
    JASA 63 (1968). Beyond 200 points, pairs are drawn by chance, always the same ones.
    """
    sizes = len({x for x, _ in points})
    if sizes < LEAST_SIZES:
        return None
    pairs = (
        combinations(points, 2) if len(points) <= 200 else _drawn_pairs(points, Random(len(points)))
    )
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if a[0] != b[0])
    slope = median(slopes)
    base = median(y - slope * x for x, y in points)
    n = len(points)
    spread = 1.96 * (n * (n - 1) * (2 * n + 5) / 18) ** 0.5
    # The number of pairs that Kendall's statistic is spread over, as a share of those at hand.
    share = spread / (n * (n - 1) / 2)
    low = max(0, round((1 - share) / 2 * len(slopes)))
    high = min(len(slopes) - 1, round((1 + share) / 2 * len(slopes)))
    return Line(base, slope, n, sizes, slopes[low], slopes[high])


def best_page_size(
    line: Line,
    session_rows: Sequence[Spread],
    now: int,
    budget: float = 0.3,
    most: int | None = None,
) -> PageSize | None:
    """Return the page size with which sessions cost least; None if nothing can be said.

    `session_rows` is how many rows sessions read. A session that reads K rows costs
    ceil(K / size) answers of `size` rows. Sizes whose first page takes more than `budget` seconds
    or that exceed `most` are left out, but never the present one. Those sizes are tried which
    people use; for K far above the size the least is near sqrt(2 base K / per_row), the economic
    order quantity.
    """
    total = sum(each.count for each in session_rows)
    if not total or now < 1 or line.base < 0 or line.per_row < 0:
        return None

    def cost(size: int) -> float:
        pages = sum(each.count * max(1, ceil(each.value / size)) for each in session_rows)
        return pages / total * line.latency(size)

    tried = [size for size in SIZES if line.latency(size) <= budget and (not most or size <= most)]
    if now not in tried:
        tried.append(now)
    best = min(tried, key=lambda size: (cost(size), abs(size - now)))
    return PageSize(best, cost(best), cost(now))


def _drawn_pairs(
    points: Sequence[tuple[float, float]], random: Random
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    return [(random.choice(points), random.choice(points)) for _ in range(_MOST_PAIRS)]
