"""Upper bounds of the duration histogram, in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

DEFAULT = (
    0.001, 0.0014, 0.002, 0.0028, 0.004, 0.006, 0.0085, 0.012, 0.017, 0.024, 0.035, 0.05, 0.07,
    0.1, 0.14, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0,
)  # fmt: skip
"""Steps of about the square root of two that keep the usual objectives 0.1, 0.3 and 1 s exact.

A quantile is at most half a step off: p95 is 3 % off in the mean, against 12 % with the bounds of
prometheus-client.
"""

Buckets: TypeAlias = Iterable[float] | str


def upper_bounds(buckets: Buckets) -> tuple[float, ...]:
    """Return the finite bounds in seconds; `"prometheus"` stands for those of prometheus-client.

    A final infinity is dropped, since the histogram has it anyway. Raises ValueError for other
    words, for no bounds at all, and for bounds that are not positive, finite and increasing.
    """
    if isinstance(buckets, str):
        if buckets != "prometheus":
            raise ValueError(
                f'buckets is {buckets!r}; it must be "prometheus" or bounds in seconds'
            )
        from prometheus_client import Histogram

        buckets = Histogram.DEFAULT_BUCKETS
    bounds = tuple(float(bound) for bound in buckets)
    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]
    if not bounds:
        raise ValueError("buckets has no finite bound; give at least one, in seconds")
    if not all(0 < bound < math.inf for bound in bounds):
        raise ValueError(f"buckets {bounds} must be positive, finite seconds")
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError(f"buckets {bounds} must increase")
    return bounds
