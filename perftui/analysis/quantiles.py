"""Quantiles from classic histogram buckets, equal to what Prometheus and Grafana show."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

from perftui.snapshot import Quantile


def bucket_quantiles(
    quantiles: Sequence[float], bounds: Sequence[float], counts: Sequence[float]
) -> tuple[Quantile, ...] | None:
    """Return each quantile of 0..1 with the bucket it lies in; None where nothing was counted.

    `bounds` are the finite upper bounds, ascending; `counts` are per bucket, not cumulative, with
    one more place for +Inf. Values are interpolated linearly inside the bucket, the first bucket
    begins at 0, and beyond the last bound the last bound is returned: `histogram_quantile` of
    https://prometheus.io/docs/prometheus/latest/querying/functions/. Counts of several processes
    have to be added up before; quantiles cannot be averaged.
    """
    if not bounds:
        return None
    cumulative = list(accumulate(counts))
    total = cumulative[-1]
    # Also refuses NaN; what is left of a sum of fractions is not a call.
    if not total > 1e-6:
        return None
    found = []
    last = len(bounds)
    for quantile in quantiles:
        rank = quantile * total
        index = bisect_left(cumulative, rank, 0, last)
        if index == last:
            found.append(Quantile(bounds[-1], bounds[-1], math.inf))
            continue
        end = bounds[index]
        if index == 0:
            if end <= 0:
                found.append(Quantile(end, -math.inf, end))
                continue
            begin, below = 0.0, 0.0
        else:
            begin, below = bounds[index - 1], cumulative[index - 1]
        inside = cumulative[index] - below
        part = (rank - below) / inside if inside > 0 else 0.0
        found.append(Quantile(begin + (end - begin) * part, begin, end))
    return tuple(found)


def project(counts: Sequence[float], bounds: Sequence[float], onto: Sequence[float]) -> list[float]:
    """Return bucket counts for fewer bounds; `onto` must be a part of `bounds`, both ascending.

    Exact, because a cumulative count at a bound does not depend on the bounds beside it.
    """
    cumulative = list(accumulate(counts))
    place = {bound: index for index, bound in enumerate(bounds)}
    kept = [cumulative[place[bound]] for bound in onto] + [cumulative[-1]]
    return [kept[0], *(after - before for before, after in pairwise(kept))]


def common_bounds(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    """Return the bounds that both histograms have, ascending."""
    return tuple(sorted(set(one) & set(other)))
