"""Twenty operations as different as real ones: quiet while healthy, and sure of one that is slow.

This is the short form of tests/benchmarks/alert_operations.py. An operation whose slow p95 stays
below the rule's floor of 50 ms raises nothing by design, so that none of them is chosen.
"""

from __future__ import annotations

import pytest
from operation_traffic import STEP, Traffic, Trial, false_alarms, judged, new_engine

START = 30.0


@pytest.mark.parametrize("seed", [61, 62])
def test_healthy_operations_raise_nothing(seed: int) -> None:
    found, judgements = false_alarms(seed, 300)
    assert found == set()
    assert judgements == 6000


def test_one_that_becomes_five_times_slower_is_found_within_three_windows() -> None:
    trials = [Trial(seed) for seed in range(4000, 4006)]
    assert {trial.calls.window for trial in trials} == {60.0, 300.0}
    assert [trial.calls for trial in trials if trial.found_after is None] == []
    assert not any(trial.others or trial.early for trial in trials)


def busy(seed: int) -> Traffic:
    """Return six operations that are called often and that somebody waits for."""
    traffic = Traffic(seed, operations=6)
    for calls in traffic.calls.values():
        calls.median = max(calls.median, 0.03)
        calls.rate = max(calls.rate, 3.0)
    return traffic


@pytest.mark.parametrize("factor", [1 / 3, 1 / 2, 2.0, 3.0])
def test_an_unusual_first_half_minute_is_not_what_is_usual(factor: float) -> None:
    """Idle processes answer faster than busy ones, and caches are empty at first."""
    for seed in (500, 501):
        traffic, engine = busy(seed), new_engine()
        traffic.all_slower = factor
        assert not [firing for firing in judged(traffic, engine, START, STEP / 2) if firing]
        traffic.all_slower = 1.0
        assert not [firing for firing in judged(traffic, engine, 420.0, STEP / 2) if firing]


def test_two_minutes_are_enough_to_know_what_is_usual() -> None:
    traffic, engine = busy(601), new_engine()
    assert not [firing for firing in judged(traffic, engine, 120.0) if firing]
    traffic.calls["operation 0"].slower = 5.0

    firing = list(judged(traffic, engine, 180.0))[-1]

    assert [(alert.rule, alert.subject) for alert in firing] == [("R03", "shop/operation 0")]
