"""The literal rules and the alerts made of them."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import full_snapshot

from perftui import PerformanceAnalyzer
from perftui.analysis.alerts import AlertBook
from perftui.analysis.bottlenecks import high_usage, slow_operations
from perftui.snapshot import NOT_STARTED, Memory, Resources, Severity, Snapshot

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
    assert all(b["threshold"] == pytest.approx(threshold) for b in found.values())


def test_two_operations_can_never_be_slow() -> None:
    assert slow_operations({"a": 0.001, "b": 1000.0}) == []


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


def test_alerts_remember_their_begin_and_forget_it_when_they_end() -> None:
    book = AlertBook()
    calm = full_snapshot(alerts=False)
    hot = msgspec.structs.replace(
        calm, resources=Resources(memory=Memory(95.0, 95, 100, 5)), services=NOT_STARTED
    )
    (first,) = book.update(hot)
    (again,) = book.update(msgspec.structs.replace(hot, time=hot.time + 30))
    assert first.severity is Severity.CRITICAL
    assert again.since == first.since == hot.time
    cool = msgspec.structs.replace(hot, resources=Resources(memory=Memory(20.0, 20, 100, 80)))
    assert book.update(cool) == ()
    (new,) = book.update(msgspec.structs.replace(hot, time=hot.time + 90))
    assert new.since == hot.time + 90


def test_a_limit_of_the_control_group_counts_before_the_host() -> None:
    snapshot = full_snapshot(alerts=False)
    assert not isinstance(snapshot.resources.cgroup, type(NOT_STARTED))
    group = msgspec.structs.replace(snapshot.resources.cgroup, memory_percent=97.0)
    resources = msgspec.structs.replace(snapshot.resources, cgroup=group)
    alerts = AlertBook().update(msgspec.structs.replace(snapshot, resources=resources))
    assert [(a.rule, a.subject) for a in alerts] == [
        ("high_memory", "cgroup limit"),
        ("slow_operation", "shop/checkout"),
    ]


def test_nothing_measured_raises_no_alert() -> None:
    assert AlertBook().update(Snapshot(0, 0.0, 0.0)) == ()


def test_the_library_loads_neither_screen_nor_sources() -> None:
    program = (
        "import sys, perftui; perftui.PerformanceAnalyzer; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}), "
        "*[name for name in sys.modules if name.startswith('perftui.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "perftui.analysis.bottlenecks" in loaded
    unwanted = {"textual", "redis", "psutil", "prometheus_client", "plotext", "perftui.sources"}
    assert unwanted.isdisjoint(loaded)


def test_an_unknown_name_of_the_library_is_an_attribute_error() -> None:
    import perftui

    with pytest.raises(AttributeError, match="NoSuchThing"):
        perftui.NoSuchThing  # noqa: B018
