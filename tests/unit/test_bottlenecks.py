"""PerformanceAnalyzer: the literal rules, what they say of themselves, and the default source."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from perftui import PerformanceAnalyzer
from perftui.analysis.bottlenecks import high_usage, slow_operations
from perftui.analysis.own_process import OwnProcess
from perftui.metrics.execution import shared

times = st.dictionaries(st.text(max_size=5), st.floats(1e-6, 1e3), max_size=12)


@given(times)
def test_slow_means_above_twice_the_mean_of_means(execution_times: dict[str, float]) -> None:
    found = {b["operation"]: b for b in slow_operations(execution_times)}
    if not execution_times:
        assert not found
        return
    threshold = 2 * sum(execution_times.values()) / len(execution_times)
    for name, seconds in execution_times.items():
        if abs(seconds - threshold) > 1e-9 * threshold:
            assert (name in found) == (seconds > threshold)
    for one in found.values():
        assert one["threshold"] == pytest.approx(threshold)
        assert one["ratio"] == pytest.approx(2 * one["time"] / threshold)
        assert one["ratio"] > 2
        assert one["n_operations"] == len(execution_times)


def test_two_operations_can_never_be_slow() -> None:
    assert slow_operations({"a": 0.001, "b": 1000.0}) == []
    assert slow_operations({}) == []


@pytest.mark.parametrize(("n", "ratio"), [(3, 4.0), (4, 3.0), (10, 2.25)])
def test_how_much_slower_one_has_to_be(n: int, ratio: float) -> None:
    others = {f"o{number}": 1.0 for number in range(n - 1)}
    assert slow_operations({**others, "s": 0.99 * ratio}) == []
    assert [b["operation"] for b in slow_operations({**others, "s": 1.01 * ratio})] == ["s"]


def test_the_confidence_tells_what_it_rests_on() -> None:
    few = {"a": 1.0, "b": 1.0, "c": 9.0}
    many = {**{f"o{number}": 1.0 for number in range(9)}, "c": 9.0}
    (found,) = slow_operations(few)
    assert found["confidence"] == "low"
    assert "2 other operations" in found["note"]
    (found,) = slow_operations(many)
    assert found["confidence"] == "medium"
    (found,) = slow_operations(many, {"c": 7})
    assert found["confidence"] == "low"
    assert "7 calls" in found["note"]
    (found,) = slow_operations(many, {"c": 30})
    assert found["confidence"] == "medium"


def test_times_that_are_no_number_are_left_out() -> None:
    odd = {"a": 1.0, "b": 1.0, "c": 9.0, "d": math.nan, "e": math.inf}
    (found,) = slow_operations(odd)
    assert (found["operation"], found["n_operations"]) == ("c", 3)
    assert high_usage({"memory": math.nan, "cpu": math.nan}) == []


def test_thresholds_are_exceeded_strictly() -> None:
    assert high_usage({"memory": 90.0, "cpu": 80.0}) == []
    assert [b["type"] for b in high_usage({"memory": 90.1, "cpu": 80.1})] == [
        "high_memory",
        "high_cpu",
    ]


async def test_the_analyzer_reads_its_source() -> None:
    async def source() -> dict[str, dict[str, float]]:
        return {
            "execution_times": {"a": 0.1, "b": 0.1, "c": 1.6},
            "resource_usage": {"memory": 95.0, "cpu": 10.0},
        }

    slow, memory = await PerformanceAnalyzer(source).analyze_bottlenecks()
    assert slow["type"] == "slow_operation"
    assert slow["operation"] == "c"
    assert slow["time"] == 1.6
    assert slow["threshold"] == pytest.approx(1.2)
    assert memory == {"type": "high_memory", "usage": 95.0, "threshold": 90.0}


async def test_the_analyzer_takes_an_empty_observation() -> None:
    async def source() -> dict[str, dict[str, float]]:
        return {}

    assert await PerformanceAnalyzer(source).analyze_bottlenecks() == []


async def test_the_default_source_is_the_calls_of_the_last_minute() -> None:
    registry, now = CollectorRegistry(), [0.0]
    metrics = shared(registry)
    for _ in range(1000):
        metrics.record_execution("buy", 0.001, True)
    source = OwnProcess(60.0, registry, lambda: now[0])
    observed = await source()
    assert observed["execution_times"] == {}
    for name, seconds in (("buy", 0.5), ("look", 0.01), ("find", 0.02)):
        for _ in range(40):
            metrics.record_execution(name, seconds, True)
    now[0] = 30.0
    observed = await source()
    assert observed["execution_times"]["buy"] == pytest.approx(0.5)
    assert observed["counts"] == {"buy": 40, "look": 40, "find": 40}
    (slow,) = [b for b in await _analyze(source) if b["type"] == "slow_operation"]
    assert (slow["operation"], slow["confidence"]) == ("buy", "low")
    metrics.record_execution("look", 0.03, True)
    now[0] = 95.0
    # What was counted until second 30 is more than a minute old by now.
    observed = await source()
    assert observed["execution_times"] == {"look": pytest.approx(0.03)}


async def test_the_default_source_measures_the_machine() -> None:
    now = [0.0]
    source = OwnProcess(60.0, CollectorRegistry(), lambda: now[0])
    assert "cpu" not in (await source())["resource_usage"]
    total = 0
    for number in range(2_000_000):
        total += number
    now[0] = 5.0
    usage = (await source())["resource_usage"]
    assert 0 < usage["memory"] <= 100
    assert 0 < usage["cpu"] <= 100


async def test_the_analyzer_needs_no_source() -> None:
    analyzer = PerformanceAnalyzer()
    for _ in range(5):
        shared().record_execution("the-slow-one", 5.0, True)
        for number in range(4):
            shared().record_execution(f"other-{number}", 0.001, True)
    found = [b for b in await analyzer.analyze_bottlenecks() if b["type"] == "slow_operation"]
    assert "the-slow-one" in {b["operation"] for b in found}


async def _analyze(source: OwnProcess) -> list[dict[str, Any]]:
    return await PerformanceAnalyzer(source).analyze_bottlenecks()
