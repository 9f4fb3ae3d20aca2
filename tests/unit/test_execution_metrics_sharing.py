"""ExecutionMetrics shared: by objects on one registry, by threads, by forked processes."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exposition_checks import text_samples
from forked_child import in_child
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from perftui import ExecutionMetrics
from perftui.metrics.execution import shared
from perftui.metrics.registration import LOCK

ROOT = Path(__file__).parents[2]
TIME = "operation_execution_time_seconds"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ExecutionMetrics:
    return ExecutionMetrics(registry=registry)


# Sharing a registry


def test_two_on_one_registry_share_the_collectors(registry: CollectorRegistry) -> None:
    first, second = ExecutionMetrics(registry=registry), ExecutionMetrics(registry=registry)
    first.record_execution("pay", 0.1, True)
    second.record_execution("pay", 0.1, True)
    assert first.execution_time is second.execution_time
    assert first.operation_count is second.operation_count
    assert first.counts() == second.counts()
    assert first.counts()["pay"].count == 2


def test_other_buckets_for_the_second_are_refused(registry: CollectorRegistry) -> None:
    first = ExecutionMetrics(registry=registry, buckets=[0.1, 1])
    assert ExecutionMetrics(registry=registry, buckets=(0.1, 1.0, math.inf)).bounds == first.bounds
    assert ExecutionMetrics(registry=registry).bounds == first.bounds
    with pytest.raises(ValueError, match=r"\(0\.1, 1\.0\).*\(0\.2,\)"):
        ExecutionMetrics(registry=registry, buckets=[0.2])


def test_without_a_registry_nothing_is_shared() -> None:
    first, second = ExecutionMetrics(registry=None), ExecutionMetrics(registry=None)
    first.record_execution("pay", 0.1, True)
    assert first.counts()["pay"].count == 1
    assert second.counts() == {}


@pytest.mark.parametrize(
    "foreign",
    [
        lambda registry: Counter("operation_count", "Mine.", registry=registry),
        lambda registry: Gauge("operation_cancelled_created", "Mine.", registry=registry),
        lambda registry: Histogram(TIME, "Mine.", ["operation"], registry=registry),
    ],
)
def test_a_metric_of_somebody_else_is_named(
    registry: CollectorRegistry, foreign: Callable[[CollectorRegistry], Any]
) -> None:
    theirs = foreign(registry)
    (name,) = [metric.name for metric in theirs.describe()]
    with pytest.raises(ValueError, match=rf"ExecutionMetrics cannot register.*{name}"):
        ExecutionMetrics(registry=registry)
    registry.unregister(theirs)
    ExecutionMetrics(registry=registry).record_execution("pay", 0.1, True)


def test_a_registry_can_be_collected() -> None:
    registry = CollectorRegistry()
    watched = weakref.ref(registry)
    shared(registry).record_execution("pay", 0.1, True)
    del registry
    gc.collect()
    assert watched() is None


def test_shared_is_one_object_and_takes_the_bounds_of_the_registry(
    registry: CollectorRegistry,
) -> None:
    mine = ExecutionMetrics(registry=registry, buckets=[1, 2])
    assert shared(registry) is shared(registry)
    assert shared(registry).bounds == mine.bounds
    assert shared(CollectorRegistry()) is not shared(registry)


def test_unregistering_begins_anew(registry: CollectorRegistry) -> None:
    old = shared(registry)
    old.record_execution("pay", 0.1, True)
    registry.unregister(old.execution_time)
    registry.unregister(old.operation_count)
    new = ExecutionMetrics(registry=registry, buckets=[1])
    assert shared(registry) is not old
    assert new.counts() == {}
    new.record_execution("ship", 0.1, True)
    old.record_execution("late", 0.1, True)
    assert {dict(labels)["operation"] for _, labels in text_samples(registry)} == {"ship"}


@pytest.mark.parametrize(
    "remove",
    [
        lambda metrics: metrics.execution_time.clear(),
        lambda metrics: metrics.execution_time.remove("pay"),
    ],
)
def test_calls_after_removal_are_exposed(
    registry: CollectorRegistry,
    metrics: ExecutionMetrics,
    remove: Callable[[ExecutionMetrics], None],
) -> None:
    metrics.record_execution("pay", 0.1, True)
    remove(metrics)
    assert metrics.counts() == {}
    metrics.record_execution("pay", 0.1, True)
    assert text_samples(registry)[f"{TIME}_count", (("operation", "pay"),)] == 1


# Threads and processes


def test_threads_lose_no_call(metrics: ExecutionMetrics) -> None:
    def work(seed: int) -> None:
        for number in range(2_000):
            metrics.record_execution(f"op {(number * seed) % 50}", 0.001, number % 4 != 0)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 7, 11)]
    for thread in threads:
        thread.start()
    seen = []
    while any(thread.is_alive() for thread in threads):
        seen.append(metrics.counts())
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    counts = metrics.counts().values()
    assert sum(each.count for each in counts) == 8_000
    assert sum(each.failures for each in counts) == 2_000
    assert all(each.failures <= each.count for early in seen for each in early.values())


def test_a_forked_child_goes_on_from_its_parent(metrics: ExecutionMetrics) -> None:
    metrics.record_execution("pay", 0.1, True)

    def child() -> dict[str, tuple[int, int]]:
        metrics.record_execution("pay", 0.1, False)
        metrics.record_execution("new in the child", 0.1, True)
        return {name: (each.count, each.failures) for name, each in metrics.counts().items()}

    assert in_child(child) == {"pay": (2, 1), "new in the child": (1, 0)}
    assert metrics.counts()["pay"].count == 1


def test_a_fork_waits_for_a_thread_that_admits_an_operation(metrics: ExecutionMetrics) -> None:
    admitting = threading.Event()

    def admit_slowly() -> None:
        with LOCK:
            admitting.set()
            time.sleep(0.2)

    def child() -> int:
        metrics.record_execution("new in the child", 0.1, True)
        return metrics.counts()["new in the child"].count

    thread = threading.Thread(target=admit_slowly)
    thread.start()
    admitting.wait()
    assert in_child(child) == 1
    thread.join()
    metrics.record_execution("new in the parent", 0.1, True)


MULTIPROCESS = """
import os, json, sys
from prometheus_client import CollectorRegistry, multiprocess
from perftui import ExecutionMetrics
metrics = ExecutionMetrics()
metrics.record_execution("pay", 0.25, True)
for worker in range(2):
    pid = os.fork()
    if pid == 0:
        began = sum(each.count for each in metrics.counts().values())
        for number in range(10 + worker):
            metrics.record_execution("pay", 0.25, number % 2 == 0)
        metrics.record_cancellation("pay")
        counts = metrics.counts()["pay"]
        print(began, counts.count, counts.failures, counts.seconds, counts.cancelled, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
counts = metrics.counts()["pay"]
print(0, counts.count, counts.failures, counts.seconds, counts.cancelled)
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
pay = {"operation": "pay"}
value = registry.get_sample_value
print(
    value("operation_execution_time_seconds_count", pay),
    value("operation_execution_time_seconds_bucket", {**pay, "le": "0.2"}),
    value("operation_execution_time_seconds_bucket", {**pay, "le": "0.3"}),
    value("operation_count_total", {**pay, "status": "failure"}),
    value("operation_cancelled_total", pay),
)
"""


def test_multi_process_mode_sums_the_workers(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MULTIPROCESS],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        "0 10 5 2.5 1",
        "0 11 5 2.75 1",
        "0 1 0 0.25 0",
        "22.0 0.0 22.0 10.0 2.0",
    ]
