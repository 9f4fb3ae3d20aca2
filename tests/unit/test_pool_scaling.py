"""ScalingConfig and ScalingPolicy: the ladder, limits, cooldown, window, memory, missing data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui.pool.config import ScalingConfig, ScalingConfigError
from perftui.pool.scaling import ScalingAdvice, ScalingPolicy, ServerReading
from tests.benchmarks.pool_scaling import mean_course


def rows(
    count: int, cpu: float | None = 50.0, memory: float | None = 40.0, rps: float | None = 100.0
) -> list[ServerReading]:
    return [ServerReading(f"s{n}", cpu, memory, rps) for n in range(count)]


def step() -> ScalingPolicy:
    return ScalingPolicy(ScalingConfig(advice={"policy": "step"}))


def test_contract_numbers() -> None:
    config = ScalingConfig()
    assert config.thresholds == {
        "cpu_threshold": 80,
        "memory_threshold": 90,
        "request_threshold": 1000,
    }
    assert config.scaling == {
        "min_instances": 2,
        "max_instances": 10,
        "scale_up_factor": 1.5,
        "scale_down_factor": 0.5,
    }


@pytest.mark.parametrize(
    ("given_settings", "named"),
    [
        ({"thresholds": {"cpu": 1}}, "thresholds has no setting 'cpu'"),
        ({"thresholds": {"memory_threshold": 101}}, r"thresholds\['memory_threshold'\]"),
        ({"scaling": {"min_instances": 11}}, r"scaling\['min_instances'\] is 11"),
        ({"scaling": {"scale_up_factor": 1}}, r"scaling\['scale_up_factor'\]"),
        ({"scaling": {"scale_down_factor": 1}}, r"scaling\['scale_down_factor'\]"),
        ({"balancing": {"max_excluded": float("nan")}}, r"balancing\['max_excluded'\]"),
        ({"advice": {"policy": "magic"}}, r"advice\['policy'\] is 'magic'"),
    ],
)
def test_a_wrong_setting_is_named(given_settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ScalingConfigError, match=named):
        ScalingConfig(**given_settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ScalingConfig().scaling["max_instances"] = 99  # type: ignore[index]


def test_step_ladder_up_and_down() -> None:
    def ladder(size: int, cpu: float) -> list[int]:
        found = [size]
        while (want := step().advise(rows(found[-1], cpu), 0.0).want) != found[-1]:
            found.append(want)
        return found

    assert ladder(2, 90.0) == [2, 3, 5, 8, 10]
    assert ladder(10, 10.0) == [10, 5, 2]


@pytest.mark.parametrize(("cpu", "want"), [(80.0, 4), (80.1, 6), (40.0, 4), (39.9, 2)])
def test_step_thresholds_are_strict(cpu: float, want: int) -> None:
    assert step().advise(rows(4, cpu), 0.0).want == want


def test_growth_is_limited_and_says_why() -> None:
    advice = ScalingPolicy().advise(rows(4, 50.0, rps=2000.0), 0.0)
    assert advice.want == 6
    assert advice.reason == "4 -> 6: requests 2000/s > 1000/s; at most x1.5"


def test_within_tolerance_nothing_changes() -> None:
    advice = ScalingPolicy().advise(rows(4, 85.0), 0.0)
    assert (advice.want, advice.held_by) == (4, "tolerance")


def test_cooldown_holds_the_next_growth() -> None:
    policy = ScalingPolicy()
    assert policy.advise(rows(4, 97.0), 0.0).want == 5
    held = policy.advise(rows(5, 97.0), 45.0)
    assert (held.want, held.held_by) == (5, "cooldown")
    assert policy.advise(rows(5, 97.0), 60.0).want == 7


def test_an_advice_stands_while_it_is_followed() -> None:
    policy = ScalingPolicy()
    first = policy.advise(rows(4, 97.0), 0.0)
    again = policy.advise(rows(4, 70.0), 15.0)
    assert (first.want, again.want) == (5, 5)


def test_shrinks_only_after_the_window() -> None:
    policy = ScalingPolicy()
    found = [policy.advise(rows(8, 30.0), 15.0 * tick) for tick in range(21)]
    assert {each.held_by for each in found[:20]} == {"stabilisation"}
    assert found[20].want == 4


def test_one_peak_in_the_window_keeps_the_pool() -> None:
    policy = ScalingPolicy()
    for tick in range(30):
        advice = policy.advise(rows(8, 72.0 if tick == 15 else 30.0), 15.0 * tick)
        assert advice.want == 8


def test_never_shrinks_to_a_load_above_the_safe_share() -> None:
    policy = ScalingPolicy()
    for tick in range(60):
        advice = policy.advise(rows(3, 50.0), 15.0 * tick)
    assert (advice.want, advice.held_by) == (3, "projection")


def test_bounds_hold_and_are_told() -> None:
    advice = ScalingPolicy().advise(rows(10, 99.0), 0.0)
    assert (advice.want, advice.held_by) == (10, "max_instances")
    assert ScalingPolicy().advise(rows(1, 10.0), 0.0).want == 2


@pytest.mark.parametrize("policy", ["combined", "step"])
def test_no_data_no_action(policy: str) -> None:
    advise = ScalingPolicy(ScalingConfig(advice={"policy": policy})).advise
    for readings in ([], rows(4, None, None, None)):
        advice = advise(readings, 0.0)
        assert not advice.acts
        assert advice.held_by == "data"
        assert advice.reason


@pytest.mark.parametrize("policy", ["combined", "step"])
def test_one_silent_server_forbids_to_shrink(policy: str) -> None:
    rule = ScalingPolicy(ScalingConfig(advice={"policy": policy}))
    for tick in range(40):
        readings = [*rows(7, 10.0), ServerReading("gone", None, None, None)]
        advice = rule.advise(readings, 15.0 * tick)
    assert (advice.want, advice.held_by) == (8, "data")
    assert "cpu of 1" in advice.reason


def test_a_gap_in_the_readings_begins_the_window_anew() -> None:
    policy = ScalingPolicy()
    policy.advise(rows(8, 30.0), 0.0)
    advice = policy.advise(rows(8, 30.0), 1000.0)
    assert (advice.want, advice.held_by) == (8, "stabilisation")


def test_memory_grows_once_unless_it_helped() -> None:
    policy = ScalingPolicy()
    assert policy.advise(rows(4, 50.0, 99.5), 0.0).want == 5
    held = policy.advise(rows(5, 50.0, 99.5), 75.0)
    assert (held.want, held.held_by) == (5, "memory")
    for now in range(90, 600, 15):
        assert policy.advise(rows(5, 50.0, 99.5), float(now)).want == 5
    assert policy.advise(rows(5, 50.0, 99.5), 615.0).want == 6


def test_another_adviser_keeps_the_cooldown() -> None:
    policy = ScalingPolicy()
    policy.resume(ScalingAdvice(4, 6, "4 -> 6: cpu 97 % > 80 %"), 20.0, 1000.0)
    assert policy.advise(rows(4, 97.0), 1000.0).want == 6
    assert policy.advise(rows(6, 97.0), 1015.0).held_by == "cooldown"


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["combined", "step"]),
    st.lists(
        st.tuples(
            st.integers(0, 14),
            st.none() | st.floats(0, 400),
            st.none() | st.floats(0, 100),
            st.none() | st.floats(0, 1e6),
        ),
        max_size=40,
    ),
)
def test_what_is_advised_is_within_bounds(policy: str, course: list[Any]) -> None:
    rule = ScalingPolicy(ScalingConfig(advice={"policy": policy}))
    for tick, (count, cpu, memory, requests) in enumerate(course):
        advice = rule.advise(rows(count, cpu, memory, requests), 15.0 * tick)
        assert advice.current == count
        assert advice.reason
        if advice.acts:
            assert 2 <= advice.want <= 10 or 10 < advice.want < count
            assert count


def test_the_wave_of_four_hours() -> None:
    found = mean_course(ScalingConfig(), range(2))
    assert found.changes <= 30
    assert found.overloaded <= 0.002
    assert (found.least >= 2, found.most <= 10) == (True, True)
