"""What a value usually is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perftui.analysis.alerting.baselines import Baselines


def doubled() -> Baselines:
    return Baselines(lambda value, usual: value > 2 * usual)


def feed(baselines: Baselines, begin: float, end: float, value: float) -> float | None:
    """Return what is usual at the end, after a value each second."""
    usual = None
    now = begin
    while now < end:
        usual = baselines.usual("a", now, value)
        now += 1.0
    return usual


def test_nothing_is_usual_before_there_is_a_past() -> None:
    assert feed(doubled(), 0.0, 20.0, 1.0) is None
    assert feed(doubled(), 0.0, 120.0, 1.0) == 1.0


def test_the_newest_minutes_do_not_count() -> None:
    baselines = doubled()
    feed(baselines, 0.0, 1200.0, 1.0)

    assert feed(baselines, 1200.0, 1450.0, 1.9) == 1.0


def test_a_slow_change_becomes_usual() -> None:
    baselines = doubled()
    feed(baselines, 0.0, 3600.0, 1.0)

    usual = feed(baselines, 3600.0, 7600.0, 1.5)

    assert usual == 1.5


def test_what_is_worse_is_not_learnt_before_patience_ends() -> None:
    baselines = doubled()
    feed(baselines, 0.0, 600.0, 1.0)

    assert feed(baselines, 600.0, 4100.0, 10.0) == 1.0
    assert feed(baselines, 4100.0, 4400.0, 10.0) == 10.0


def test_half_a_minute_is_not_believed_against_a_minute_that_is_worse() -> None:
    baselines = doubled()
    feed(baselines, 0.0, 35.0, 1.0)

    assert feed(baselines, 35.0, 45.0, 3.0) == 1.0
    feed(baselines, 45.0, 110.0, 3.0)
    assert feed(baselines, 110.0, 240.0, 3.0) == 3.0


def test_eight_minutes_are_believed_against_an_hour() -> None:
    baselines = doubled()
    feed(baselines, 0.0, 490.0, 1.0)

    assert feed(baselines, 490.0, 3900.0, 3.0) == 1.0


def test_time_in_which_nothing_was_seen_makes_nothing_usual() -> None:
    baselines = doubled()
    feed(baselines, 0.0, 600.0, 1.0)
    feed(baselines, 600.0, 700.0, 10.0)

    assert feed(baselines, 9000.0, 9100.0, 10.0) == 1.0


def test_subjects_are_bounded_and_old_ones_make_room() -> None:
    baselines = Baselines(lambda value, usual: False, most_subjects=2)
    for second in range(200):
        baselines.usual("a", float(second), 1.0)
        baselines.usual("b", float(second), 2.0)
        assert baselines.usual("c", float(second), 3.0) is None
    for second in range(2000, 2200):
        third = baselines.usual("c", float(second), 3.0)

    assert third == 3.0


@given(st.lists(st.floats(0.001, 1000), min_size=30, max_size=200))
def test_it_lies_among_the_values(values: list[float]) -> None:
    baselines = Baselines(lambda value, usual: False)
    for place, value in enumerate(values):
        usual = baselines.usual("a", 10.0 * place, value)

    assert usual is not None
    assert min(values) * 0.999 <= usual <= max(values) * 1.001
