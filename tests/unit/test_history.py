"""History: one time base, gaps, bounded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.history import MOST_SERIES, History


def test_keeps_the_newest_and_marks_gaps() -> None:
    history = History(3)
    for tick, value in enumerate([1.0, None, 3.0, 4.0]):
        history.record(float(tick), {"a": value})
    assert list(history.times(10)) == [1.0, 2.0, 3.0]
    gap, third, fourth = history.series("a", 10)
    assert math.isnan(gap)
    assert (third, fourth) == (3.0, 4.0)


def test_a_series_that_comes_late_has_gaps_before_it() -> None:
    history = History(5)
    history.record(0.0, {"a": 1.0})
    history.record(1.0, {"a": 2.0, "b": 9.0})
    first, second = history.series("b", 5)
    assert math.isnan(first)
    assert second == 9.0


def test_a_series_that_is_missing_gets_a_gap() -> None:
    history = History(5)
    history.record(0.0, {"a": 0.0})
    history.record(1.0, {})
    zero, gap = history.series("a", 5)
    assert zero == 0.0
    assert math.isnan(gap)


def test_unknown_series_is_empty() -> None:
    assert list(History(2).series("nothing", 5)) == []


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="capacity"):
        History(0)


@given(
    st.integers(1, 7), st.lists(st.none() | st.floats(-1e9, 1e9), max_size=30), st.integers(0, 9)
)
def test_equals_the_tail_of_a_list(capacity: int, values: list[float | None], count: int) -> None:
    history = History(capacity)
    for tick, value in enumerate(values):
        history.record(float(tick), {"x": value})
    kept = values[-capacity:][-count:] if count else []
    got = list(history.series("x", count))
    assert len(got) == len(kept)
    for have, want in zip(got, kept, strict=True):
        assert math.isnan(have) if want is None else have == want
    assert history.version == len(values)


def test_names_that_come_and_go_do_not_pile_up() -> None:
    history = History(5)
    for tick in range(2 * MOST_SERIES):
        history.record(float(tick), {"stays": 1.0, f"operation {tick}": 2.0})
    assert len(history.series("stays", 5)) == 5
    assert len(history.series(f"operation {2 * MOST_SERIES - 1}", 5)) == 5
    assert len(history.series("operation 0", 5)) == 0
    known = [n for n in range(2 * MOST_SERIES) if len(history.series(f"operation {n}", 1))]
    assert len(known) == MOST_SERIES - 1
