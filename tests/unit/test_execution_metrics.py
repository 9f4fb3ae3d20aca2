"""ExecutionMetrics: what is exposed, what is refused, what is shared, and what it counts."""

from __future__ import annotations

import enum
import logging
import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from exposition_checks import openmetrics_samples, promtool_complaints, text_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from perftui import ExecutionMetrics
from perftui.metrics.buckets import DEFAULT, upper_bounds
from perftui.metrics.operation_counts import from_attributes, from_samples, operation_counts
from perftui.metrics.operation_series import OTHER
from perftui.metrics.report import OperationCounts

ROOT = Path(__file__).parents[2]
TIME = "operation_execution_time_seconds"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ExecutionMetrics:
    return ExecutionMetrics(registry=registry)


# What is exposed


def test_calls_are_exposed_under_the_promised_names(registry: CollectorRegistry) -> None:
    metrics = ExecutionMetrics(registry=registry, buckets=[0.1, 1])
    metrics.record_execution("pay", 0.1, True)
    metrics.record_execution("pay", 0.5, False)
    metrics.record_execution("pay", 7, True)
    metrics.record_cancellation("pay")
    operation = ("operation", "pay")
    assert text_samples(registry) == {
        (f"{TIME}_bucket", (("le", "0.1"), operation)): 1,
        (f"{TIME}_bucket", (("le", "1.0"), operation)): 2,
        (f"{TIME}_bucket", (("le", "+Inf"), operation)): 3,
        (f"{TIME}_count", (operation,)): 3,
        (f"{TIME}_sum", (operation,)): 7.6,
        ("operation_count_total", (operation, ("status", "success"))): 2,
        ("operation_count_total", (operation, ("status", "failure"))): 1,
        ("operation_cancelled_total", (operation,)): 1,
    }
    assert openmetrics_samples(registry) == text_samples(registry)


def test_the_collectors_are_reachable(metrics: ExecutionMetrics) -> None:
    metrics.execution_time.labels(operation="direct").observe(0.2)
    metrics.operation_count.labels(operation="direct", status="failure").inc()
    assert metrics.counts()["direct"].count == 1
    assert metrics.counts()["direct"].failures == 1


def test_promtool_has_no_complaint(registry: CollectorRegistry, metrics: ExecutionMetrics) -> None:
    metrics.record_execution('GET /items/{id} "x"\\\n', 0.01, True)
    metrics.record_cancellation("pay")
    assert promtool_complaints(registry) == ""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5, unique=True))
def test_any_name_survives_both_formats(names: list[str]) -> None:
    registry = CollectorRegistry()
    metrics = ExecutionMetrics(registry=registry, buckets=[1])
    for name in names:
        metrics.record_execution(name, 0.5, True)
    for samples in (text_samples(registry), openmetrics_samples(registry)):
        counted = {dict(labels)["operation"] for name, labels in samples if name == f"{TIME}_count"}
        assert counted == set(names)


def test_what_utf_8_cannot_hold_does_not_break_the_page(
    registry: CollectorRegistry, metrics: ExecutionMetrics
) -> None:
    metrics.record_execution("caf\udce9", 0.1, True)
    assert (f"{TIME}_count", (("operation", "caf\\udce9"),)) in text_samples(registry)


def test_a_long_name_is_cut(metrics: ExecutionMetrics) -> None:
    for _ in range(2):
        metrics.record_execution("x" * 100_000, 0.1, True)
    (name,) = metrics.counts()
    assert name == "x" * 199 + "…"
    assert metrics.counts()[name].count == 2


def test_an_enumeration_of_text_is_its_text(metrics: ExecutionMetrics) -> None:
    class Operation(str, enum.Enum):  # noqa: UP042, its str() is not its text
        PAY = "pay"

    metrics.record_execution(Operation.PAY, 0.1, True)
    metrics.record_execution("pay", 0.1, True)
    assert metrics.counts()["pay"].count == 2


# Buckets


def test_default_bounds() -> None:
    assert DEFAULT[0] == 0.001
    assert DEFAULT[-1] == 16
    assert {0.1, 0.3, 1.0} <= set(DEFAULT)
    assert len(DEFAULT) == 29
    assert all(1.2 < high / low <= 1.5 + 1e-9 for low, high in pairwise(DEFAULT))
    assert ExecutionMetrics(registry=None).bounds == DEFAULT


def test_bounds_of_prometheus_client() -> None:
    metrics = ExecutionMetrics(registry=None, buckets="prometheus")
    assert (*metrics.bounds, math.inf) == Histogram.DEFAULT_BUCKETS


def test_a_final_infinity_is_dropped() -> None:
    assert upper_bounds(iter([0.5, 2, math.inf])) == (0.5, 2.0)


@pytest.mark.parametrize(
    ("buckets", "complaint"),
    [
        ("fine", "'fine'"),
        ([], "no finite bound"),
        ([math.inf], "no finite bound"),
        ([0.2, 0.1], "increase"),
        ([0.1, 0.1], "increase"),
        ([-1, 1], "positive"),
        ([0, 1], "positive"),
        ([0.1, math.nan, 1], "positive"),
        ([0.1, math.inf, math.inf], "positive"),
    ],
)
def test_bad_bounds_are_named(buckets: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ExecutionMetrics(registry=CollectorRegistry(), buckets=buckets)


@given(
    st.lists(st.floats(0, 40), max_size=30),
    st.lists(st.floats(1e-6, 30), min_size=1, max_size=6, unique=True).map(sorted),
)
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_the_durations(durations: list[float], bounds: list[float]) -> None:
    metrics = ExecutionMetrics(registry=None, buckets=bounds)
    for duration in durations:
        metrics.record_execution("x", duration, True)
    edges = [-1.0, *bounds, math.inf]
    expected = tuple(sum(low < d <= high for d in durations) for low, high in pairwise(edges))
    counts = metrics.counts().get("x", OperationCounts(0, 0, 0.0, (0,) * (len(bounds) + 1)))
    assert counts.buckets == expected
    assert counts.count == len(durations)
    assert counts.seconds == pytest.approx(math.fsum(durations))


# What is refused


@pytest.mark.parametrize("duration", [math.nan, math.inf, -math.inf, -0.001])
def test_a_bad_duration_names_its_operation(metrics: ExecutionMetrics, duration: float) -> None:
    with pytest.raises(ValueError, match=r"'pay'.*duration"):
        metrics.record_execution("pay", duration, True)
    assert metrics.counts() == {}


def test_wrong_types_are_named(metrics: ExecutionMetrics) -> None:
    wrong: list[Any] = [None, 5, b"pay", ["pay"]]
    for operation in wrong:
        with pytest.raises(TypeError, match="operation"):
            metrics.record_execution(operation, 0.1, True)
        with pytest.raises(TypeError, match="operation"):
            metrics.record_cancellation(operation)
        with pytest.raises(TypeError, match="operation"):
            metrics.track(operation)
    with pytest.raises(TypeError, match=r"'pay'.*seconds"):
        metrics.record_execution("pay", cast("float", "fast"), True)
    for refused in (metrics.track, metrics.record_cancellation):
        with pytest.raises(ValueError, match="empty"):
            refused("")
    with pytest.raises(ValueError, match="empty"):
        metrics.record_execution("", 0.1, True)
    assert metrics.counts() == {}


# Too many operations


def test_operations_beyond_the_limit_are_put_together(
    registry: CollectorRegistry, metrics: ExecutionMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.record_execution(OTHER, 0.1, True)
    with caplog.at_level(logging.WARNING, "perftui.metrics"):
        for number in range(500):
            metrics.record_execution(f"operation {number}", 0.1, True)
        assert caplog.records == []
        assert metrics.overflow == 0
        for number in range(450, 530):
            metrics.record_execution(f"operation {number}", 0.1, False)
            metrics.record_execution(f"operation {number}", 0.1, True)
    counts = metrics.counts()
    assert len(counts) == 501
    assert counts[OTHER].count == 61
    assert counts[OTHER].failures == 30
    assert counts["operation 499"].count == 3
    assert metrics.overflow == 30
    (record,) = caplog.records
    assert "'operation 500'" in record.getMessage()
    assert ExecutionMetrics(registry=registry).overflow == 30


def test_memory_for_overflowing_names_is_bounded(metrics: ExecutionMetrics) -> None:
    for number in range(6_000):
        metrics.record_cancellation(f"/items/{number}")
    assert metrics.overflow == 5_000
    assert metrics.counts()[OTHER].cancelled == 5_500


# Reading the counts


def mixed(metrics: ExecutionMetrics) -> None:
    for number in range(40):
        metrics.record_execution(f"op {number % 7}", 0.0007 * 1.5**number, number % 3 == 0)
    metrics.record_cancellation("op 3")
    metrics.record_cancellation("only cancelled")


def test_both_ways_of_reading_agree(metrics: ExecutionMetrics) -> None:
    mixed(metrics)
    assert from_attributes(metrics._series) == from_samples(metrics._series)
    assert metrics.counts()["only cancelled"] == OperationCounts(0, 0, 0.0, (0,) * 30, 1)
    assert sum(counts.count for counts in metrics.counts().values()) == 40


def test_counts_come_from_the_samples_where_attributes_are_missing(
    metrics: ExecutionMetrics,
) -> None:
    mixed(metrics)
    series = metrics._series
    opaque = SimpleNamespace(
        **{
            name: SimpleNamespace(collect=collector.collect)
            for name, collector in (
                ("histogram", series.histogram),
                ("calls", series.calls),
                ("cancelled", series.cancelled),
            )
        }
    )
    with pytest.raises(AttributeError):
        from_attributes(cast("Any", opaque))
    assert operation_counts(cast("Any", opaque)) == metrics.counts()
