"""The model of what a query costs, the best page size, and how sure they are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.queries.counterfactual import changed, combined
from perftui.queries.estimate import Fitted
from perftui.queries.evidence import Point, Spread
from perftui.queries.model import fit
from perftui.queries.nonnegative import solve_nonnegative
from perftui.queries.page_size import best_page_size, theil_sen
from perftui.queries.suggestion import Counterfactual


def residual(rows: list[list[float]], wanted: list[float], x: list[float]) -> float:
    return sum(
        (sum(a * v for a, v in zip(row, x, strict=True)) - b) ** 2
        for row, b in zip(rows, wanted, strict=True)
    )


def normal(rows: list[list[float]], wanted: list[float]) -> tuple[list[list[float]], list[float]]:
    size = len(rows[0])
    gram = [[sum(row[i] * row[j] for row in rows) for j in range(size)] for i in range(size)]
    right = [sum(row[i] * b for row, b in zip(rows, wanted, strict=True)) for i in range(size)]
    return gram, right


@given(
    st.lists(
        st.tuples(*[st.floats(0, 100).map(lambda x: round(x, 3))] * 3, st.floats(-50, 200)),
        min_size=4,
        max_size=15,
    ),
    st.randoms(use_true_random=False),
)
def test_no_other_nonnegative_solution_is_better(
    points: list[tuple[float, float, float, float]], chance: random.Random
) -> None:
    rows = [[1.0, *point[:3]] for point in points]
    wanted = [point[3] for point in points]
    x = solve_nonnegative(*normal(rows, wanted))
    assert min(x) >= 0
    best = residual(rows, wanted, x)
    for _ in range(40):
        other = [
            max(0.0, value + chance.uniform(-1, 1) * 10 ** chance.uniform(-4, 1)) for value in x
        ]
        assert best <= residual(rows, wanted, other) * (1 + 1e-6) + 1e-6


def test_a_column_that_depends_on_others_does_no_harm() -> None:
    rows = [[1.0, float(i), 2.0 * i, 0.0] for i in range(10)]
    wanted = [3.0 + 5 * i for i in range(10)]
    x = solve_nonnegative(*normal(rows, wanted))
    assert residual(rows, wanted, x) == pytest.approx(0, abs=1e-6)
    assert x[3] == 0


def points_of(chance: random.Random, count: int = 400, noise: float = 0.3) -> list[Point]:
    """300,000 rows with and without an index, wide and narrow answers."""
    points = []
    for _ in range(count):
        size = chance.choice([20, 50, 100, 200, 500])
        scan, wide = chance.random() < 0.4, chance.random() < 0.5
        examined = 300_000 if scan else size
        kilobytes = size * (0.9 if wide else 0.1)
        seconds = 0.001 + examined * 2e-7 + size * 4e-6 + kilobytes * 2e-5
        points.append(
            Point(
                time=0.0,
                latency=seconds * chance.lognormvariate(0, noise),
                variant=f"{size} {wide} {scan}",
                rows_returned=size,
                rows_examined=examined,
                bytes=round(kilobytes * 1000),
                page_size=size,
                depth=0,
            )
        )
    return points


def test_the_model_finds_what_things_cost() -> None:
    model = fit(points_of(random.Random(1), noise=0.05))
    assert model is not None
    found = dict(zip(model.terms, model.coefficients, strict=True))
    assert found["rows_examined"] == pytest.approx(2e-7, rel=0.1)
    assert found["kilobytes"] == pytest.approx(2e-5, rel=0.25)
    assert model.r2 > 0.9


def test_the_truth_is_inside_the_interval_in_eight_of_ten() -> None:
    """Several changes, 20 logs each: the interval is one of 80 %."""
    inside = total = 0
    for seed in range(20):
        points = points_of(random.Random(seed))
        fitted = Fitted(points)
        wide = [p for p in points if p.page_size == 200 and "True False" in p.variant]
        scans = [p for p in points if p.page_size == 100 and p.variant.endswith("True")]
        for own, change, truth in (
            (
                wide,
                Counterfactual(fields_removed=("x",)),
                0.00316 / (0.001 + 0.00004 + 0.0008 + 0.0036),
            ),
            (scans, Counterfactual(indexed=True), None),
        ):
            estimate = fitted.estimate(own, [change], {"x": 0.88})
            assert estimate.confidence == "modelled"
            if truth is None:
                rest = [0.0014 + (p.bytes or 0) / 1000 * 2e-5 for p in own]
                truth = 1 - sum(each + 100 * 2e-7 for each in rest) / sum(
                    each + 300_000 * 2e-7 for each in rest
                )
            inside += estimate.low <= truth <= estimate.high
            total += 1
    assert inside >= 0.8 * total


def test_percentages_are_never_added() -> None:
    points = points_of(random.Random(3))
    own = [p for p in points if p.page_size == 500 and p.variant.endswith("True")]
    changes = [
        Counterfactual(indexed=True),
        Counterfactual(page_size=50),
        Counterfactual(fields_removed=("a", "b")),
    ]
    shares = {"a": 0.5, "b": 0.3}
    fitted = Fitted(points)
    whole = fitted.estimate(own, changes, shares)
    single = [fitted.estimate(own, [change], shares).share for change in changes]
    assert max(single) <= whole.share + 1e-9 <= 1.0
    twice = fitted.estimate(own, [changes[2], changes[2]], shares)
    assert twice.share == pytest.approx(single[2])


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "30 are needed"),
        (points_of(random.Random(1), 20), "30 are needed"),
        (
            [Point(0, random.Random(i).random(), "v", i % 7, bytes=100) for i in range(200)],
            "variance",
        ),
    ],
)
def test_without_evidence_there_is_no_number(points: list[Point], reason: str) -> None:
    estimate = Fitted(points).estimate(points, [Counterfactual(page_size=1)], {})
    assert (estimate.share, estimate.confidence) == (0.0, "none")
    assert reason in estimate.reason


def test_what_never_varied_cannot_be_priced() -> None:
    chance = random.Random(2)
    points = [
        Point(0.0, (0.01 + size * 1e-4) * chance.lognormvariate(0, 0.05), "v", size, bytes=5000)
        for size in (20, 50, 100) * 40
    ]
    estimate = Fitted(points).estimate(points, [Counterfactual(fields_removed=("x",))], {"x": 0.5})
    assert estimate.confidence == "none"
    assert "different values" in estimate.reason


def test_one_counterfactual_of_several() -> None:
    point = Point(0.0, 1.0, "v", 100, 10_100, 50_000, None, 100, 10_000)
    change = combined(
        [
            Counterfactual(fields_removed=("a",)),
            Counterfactual(fields_removed=("a", "b"), page_size=50),
            Counterfactual(no_depth=True, page_size=80),
        ]
    )
    then = changed(point, change, {"a": 0.5, "b": 0.1})
    assert (then.rows_returned, then.depth, then.rows_examined) == (50, 0, 50)
    assert then.bytes == 10_000


def test_theil_sen_is_not_led_astray() -> None:
    chance = random.Random(4)
    points = [(x, 0.005 + 0.000016 * x + chance.gauss(0, 1e-5)) for x in (20, 50, 100, 200) * 7]
    points[3] = (200, 0.5)
    points[7] = (200, 0.7)
    line = theil_sen(points)
    assert line is not None
    assert line.per_row == pytest.approx(0.000016, rel=0.1)
    assert line.per_row_low <= 0.000016 <= line.per_row_high
    assert theil_sen([(10, 1.0), (20, 2.0)] * 20) is None


@pytest.mark.parametrize(
    ("rows", "base", "per_row", "now", "best"),
    [
        ([Spread(k, 1) for k in range(2000, 5000, 50)], 0.04, 0.0002, 100, 1000),
        ([Spread(8, 70), Spread(60, 30)], 0.005, 0.0005, 100, 20),
    ],
)
def test_best_page_size(
    rows: list[Spread], base: float, per_row: float, now: int, best: int
) -> None:
    line = theil_sen([(x, base + per_row * x) for x in (20, 50, 100)])
    assert line is not None
    found = best_page_size(line, rows, now)
    assert found is not None
    assert found.size == best
    assert found.worthwhile
    assert found.seconds < found.seconds_now
