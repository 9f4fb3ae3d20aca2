"""Quantiles from buckets against their definition, and against a real Prometheus."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.analysis.quantiles import bucket_quantiles, common_bounds, project
from perftui.snapshot import Quantile

BOUNDS = (0.1, 0.2, 0.3, 0.45)

ascending = st.lists(
    st.floats(1e-4, 1e3, allow_nan=False), min_size=1, max_size=12, unique=True
).map(lambda bounds: tuple(sorted(bounds)))


def by_definition(q: float, bounds: tuple[float, ...], counts: list[int]) -> float | None:
    """Walk through the buckets as the documentation of histogram_quantile describes it."""
    total = sum(counts)
    if total == 0:
        return None
    rank = Fraction(q) * total
    seen = Fraction(0)
    lower = Fraction(0)
    for bound, count in zip(bounds, counts, strict=False):
        if count and seen + count >= rank:
            return float(lower + (Fraction(bound) - lower) * (rank - seen) / count)
        seen += count
        lower = Fraction(bound)
    return bounds[-1]


@st.composite
def histograms(draw: st.DrawFn) -> tuple[tuple[float, ...], list[int]]:
    bounds = draw(ascending)
    size = len(bounds) + 1
    return bounds, draw(st.lists(st.integers(0, 10**6), min_size=size, max_size=size))


@given(histograms(), st.sampled_from([0.5, 0.95, 0.99, 0.25, 1.0]))
def test_agrees_with_the_definition(
    histogram: tuple[tuple[float, ...], list[int]], q: float
) -> None:
    bounds, counts = histogram
    expected = by_definition(q, bounds, counts)
    found = bucket_quantiles([q], bounds, counts)
    if expected is None:
        assert found is None
        return
    assert found is not None
    (quantile,) = found
    assert quantile.value == pytest.approx(expected, rel=1e-9)
    assert quantile.low <= quantile.value <= quantile.high or quantile.high == math.inf


def test_the_interval_is_that_of_the_bucket() -> None:
    # Everything took 0.22 s: the value is made up, and only the interval says by how much.
    assert bucket_quantiles([0.95], BOUNDS, [0, 0, 100, 0, 0]) == (
        Quantile(pytest.approx(0.295), 0.2, 0.3),
    )
    assert bucket_quantiles([0.5], BOUNDS, [10, 0, 0, 0, 0]) == (
        Quantile(pytest.approx(0.05), 0.0, 0.1),
    )
    assert bucket_quantiles([0.5, 0.99], BOUNDS, [50, 0, 0, 0, 50]) == (
        Quantile(0.1, 0.0, 0.1),
        Quantile(0.45, 0.45, math.inf),
    )


def test_nothing_counted_or_no_buckets_is_no_quantile() -> None:
    assert bucket_quantiles([0.5], BOUNDS, [0, 0, 0, 0, 0]) is None
    assert bucket_quantiles([0.5], BOUNDS, [math.nan] * 5) is None
    assert bucket_quantiles([0.5], (), [7]) is None


def test_buckets_are_added_before_the_quantile() -> None:
    fast, slow = [90, 0, 0, 0, 0], [0, 0, 0, 10, 0]
    both = [one + other for one, other in zip(fast, slow, strict=True)]
    found = bucket_quantiles([0.5, 0.95], BOUNDS, both)
    assert found is not None
    assert [quantile.value for quantile in found] == pytest.approx([0.1 * 50 / 90, 0.375])


@given(histograms(), st.data())
def test_projection_keeps_the_cumulative_counts(
    histogram: tuple[tuple[float, ...], list[int]], data: st.DataObject
) -> None:
    bounds, counts = histogram
    onto = common_bounds(bounds, data.draw(st.sets(st.sampled_from(bounds)).map(sorted)))
    projected = project(counts, bounds, onto)
    assert sum(projected) == sum(counts)
    for place, bound in enumerate(onto):
        below = sum(c for b, c in zip(bounds, counts, strict=False) if b <= bound)
        assert sum(projected[: place + 1]) == below


def _as_text(bound: float, number: int) -> str:
    """Write a bound in one of the ways in which clients write it; they all mean the same."""
    return [repr(bound), f"{bound:g}", f"{bound:.6e}"][number % 3]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool of Prometheus")
def test_equals_what_prometheus_answers(tmp_path: Path) -> None:
    chance = random.Random(4)
    bounds = (0.001, 0.0025, 0.1, 0.2, 0.3, 0.45, 1.0, 2.5, 10.0)
    histograms = [
        [chance.choice((0, 0, 1, 7, 40, 12345)) for _ in range(len(bounds) + 1)] for _ in range(40)
    ]
    histograms += [[0] * 4 + [100] + [0] * 5, [0] * 9 + [3], [1] + [0] * 9]
    tests: list[dict[str, object]] = []
    for counts in histograms:
        found = bucket_quantiles([0.5, 0.95, 0.99], bounds, counts)
        cumulative = [sum(counts[: place + 1]) for place in range(len(counts))]
        for quantile, answer in zip((0.5, 0.95, 0.99), found or (), strict=False):
            # Two processes: the buckets are added before the quantile is taken.
            series = [
                {
                    "series": f'd_bucket{{le="{_as_text(b, n) if b else "+Inf"}",process="{p}"}}',
                    "values": f"{count - count // 3 if p else count // 3}",
                }
                for n, (b, count) in enumerate(zip((*bounds, 0.0), cumulative, strict=True))
                for p in (0, 1)
            ]
            expression = {
                "expr": f"histogram_quantile({quantile}, sum by (le) (d_bucket))",
                "eval_time": "0s",
                "exp_samples": [{"labels": "{}", "value": answer.value}],
            }
            tests.append({"input_series": series, "promql_expr_test": [expression]})
    assert len(tests) > 100
    file = tmp_path / "quantiles.yml"
    # What JSON can say, YAML understands.
    file.write_text(json.dumps({"evaluation_interval": "1m", "tests": tests}))
    run = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
