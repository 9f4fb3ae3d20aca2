"""ResourceMetrics: true readings, absence instead of zero, sharing, threads, forks, ends."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from exposition_checks import openmetrics_samples, promtool_complaints, text_samples
from forked_child import in_child
from prometheus_client import CollectorRegistry, Gauge

from perftui import ResourceMetrics
from perftui.metrics.report import ResourceUse

ROOT = Path(__file__).parents[2]
MEMORY = ("memory_usage_bytes", ())
CPU = ("cpu_usage_percent", ())
READ = ("disk_io_bytes_total", (("operation", "read"),))
WRITE = ("disk_io_bytes_total", (("operation", "write"),))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


class ScriptedProcess:
    """A process of another platform or another user: some readings are refused or missing."""

    def __init__(self, **readings: Any) -> None:
        self.pid = 4_000_001
        self.readings: dict[str, Any] = {"rss": 1_000, "cpu": 1.0, "running": True}
        self.readings["status"] = "running"
        self.readings |= readings

    def is_running(self) -> bool:
        return bool(self._get("running"))

    def status(self) -> str:
        return str(self._get("status"))

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=self._get("rss"))

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=self._get("cpu"), system=0.0)

    def __getattr__(self, name: str) -> Any:
        if name != "io_counters" or "disk" not in self.readings:
            raise AttributeError(name)
        return lambda: SimpleNamespace(
            read_bytes=self._get("disk")[0], write_bytes=self._get("disk")[1]
        )

    def _get(self, name: str) -> Any:
        if isinstance(self.readings[name], Exception):
            raise self.readings[name]
        return self.readings[name]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def burn(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


# Readings


def test_the_first_reading_has_everything_but_cpu(registry: CollectorRegistry) -> None:
    ResourceMetrics(registry=registry)
    samples = text_samples(registry)
    assert samples[MEMORY] == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert CPU not in samples
    assert set(samples) == {MEMORY, READ, WRITE}


def test_cpu_is_percent_of_one_core(registry: CollectorRegistry) -> None:
    metrics = ResourceMetrics(registry=registry)
    began, used = time.monotonic(), sum(os.times()[:2])
    burn(0.3)
    metrics.update_resource_usage()
    expected = 100 * (sum(os.times()[:2]) - used) / (time.monotonic() - began)
    assert expected > 10
    assert text_samples(registry)[CPU] == pytest.approx(expected, rel=0.3)
    assert metrics.use().cpu_percent == text_samples(registry)[CPU]
    metrics.update_resource_usage()
    assert metrics.use().cpu_percent == text_samples(registry)[CPU] > 10, "too short a window"


def test_disk_bytes_are_those_of_the_process(registry: CollectorRegistry, tmp_path: Path) -> None:
    metrics = ResourceMetrics(registry=registry)
    before = text_samples(registry)[WRITE]
    with (tmp_path / "file").open("wb") as file:
        file.write(os.urandom(2_000_000))
        file.flush()
        os.fsync(file.fileno())
    for _ in range(3):
        metrics.update_resource_usage()
    total = psutil.Process().io_counters().write_bytes
    assert before <= text_samples(registry)[WRITE] <= total
    assert metrics.use().disk_written == text_samples(registry)[WRITE]
    assert metrics.use().disk_read == text_samples(registry)[READ]


def test_disk_counters_advance_by_what_was_added() -> None:
    process = ScriptedProcess(disk=(100, 50))
    metrics = ResourceMetrics(process=process, registry=None)  # type: ignore[arg-type]

    def exposed() -> list[float]:
        return [s.value for m in metrics.disk_io.collect() for s in m.samples if "_total" in s.name]

    assert exposed() == [100, 50]
    for disk, expected in (
        ((300, 50), [300, 50]),
        ((250, 60), [300, 60]),
        ((310, 70), [310, 70]),
    ):
        process.readings["disk"] = disk
        metrics.update_resource_usage()
        assert exposed() == expected


@pytest.mark.parametrize(
    ("readings", "present", "use"),
    [
        ({}, {MEMORY}, ResourceUse(None, 1_000)),
        ({"disk": psutil.AccessDenied()}, {MEMORY}, ResourceUse(None, 1_000)),
        ({"disk": NotImplementedError()}, {MEMORY}, ResourceUse(None, 1_000)),
        ({"disk": FileNotFoundError()}, {MEMORY}, ResourceUse(None, 1_000)),
        ({"disk": (0, 7)}, {MEMORY, READ, WRITE}, ResourceUse(None, 1_000, 0, 7)),
        (
            {"rss": psutil.AccessDenied(), "disk": (1, 2)},
            {READ, WRITE},
            ResourceUse(None, None, 1, 2),
        ),
    ],
)
def test_what_is_not_given_is_absent(
    registry: CollectorRegistry, readings: dict[str, Any], present: set[Any], use: ResourceUse
) -> None:
    metrics = ResourceMetrics(process=ScriptedProcess(**readings), registry=registry)  # type: ignore[arg-type]
    assert set(text_samples(registry)) == present
    assert metrics.use() == use


def test_a_reading_that_is_refused_later_is_taken_away(registry: CollectorRegistry) -> None:
    process = ScriptedProcess()
    metrics = ResourceMetrics(process=process, registry=registry)  # type: ignore[arg-type]
    time.sleep(0.11)
    process.readings["cpu"] = 1.05
    metrics.update_resource_usage()
    assert 0 < text_samples(registry)[CPU] <= 46
    process.readings["cpu"] = psutil.AccessDenied()
    metrics.update_resource_usage()
    assert set(text_samples(registry)) == {MEMORY}
    assert metrics.use() == ResourceUse(None, 1_000)


def test_promtool_has_no_complaint(registry: CollectorRegistry) -> None:
    metrics = ResourceMetrics(registry=registry)
    assert promtool_complaints(registry) == ""
    time.sleep(0.11)
    metrics.update_resource_usage()
    assert CPU in text_samples(registry)
    assert promtool_complaints(registry) == ""
    assert openmetrics_samples(registry) == text_samples(registry)


# Another process


def test_another_process_and_its_end(
    registry: CollectorRegistry,
    sleeper: subprocess.Popen[bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = ResourceMetrics(process=sleeper.pid, registry=registry)
    assert text_samples(registry)[MEMORY] > 100_000
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    with caplog.at_level(logging.WARNING, "perftui.metrics"):
        metrics.update_resource_usage()
        assert MEMORY not in text_samples(registry), "a zombie has no memory to show"
        sleeper.wait()
        metrics.update_resource_usage()
    assert not {MEMORY, CPU} & set(text_samples(registry))
    assert metrics.use() == ResourceUse()
    (record,) = caplog.records
    assert str(sleeper.pid) in record.getMessage()


def test_another_process_under_the_same_number_is_not_measured(
    registry: CollectorRegistry,
) -> None:
    process = ScriptedProcess()
    metrics = ResourceMetrics(process=process, registry=registry)  # type: ignore[arg-type]
    process.readings |= {"running": False, "rss": 5}
    metrics.update_resource_usage()
    assert text_samples(registry) == {}
    assert metrics.use() == ResourceUse()


def test_the_thread_ends_with_the_process(sleeper: subprocess.Popen[bytes]) -> None:
    metrics = ResourceMetrics(process=psutil.Process(sleeper.pid), registry=None)
    metrics.start(0.02)
    sleeper.kill()
    sleeper.wait()
    until(lambda: sampler_count() == 0)
    metrics.stop()


def test_a_number_without_a_process(registry: CollectorRegistry) -> None:
    with pytest.raises(psutil.NoSuchProcess):
        ResourceMetrics(process=2**22 + 5, registry=registry)


# Sharing a registry


def test_two_on_one_registry_share_and_do_not_count_twice(registry: CollectorRegistry) -> None:
    process = ScriptedProcess(disk=(100, 50))
    first = ResourceMetrics(process=process, registry=registry)  # type: ignore[arg-type]
    second = ResourceMetrics(process=process, registry=registry)  # type: ignore[arg-type]
    process.readings["disk"] = (150, 50)
    for metrics in (first, second, first):
        metrics.update_resource_usage()
    assert first.disk_io is second.disk_io
    assert first.memory_usage is second.memory_usage
    assert first.cpu_usage is second.cpu_usage
    assert text_samples(registry)[READ] == 150
    assert first.use() == second.use()


def test_this_process_by_any_name(registry: CollectorRegistry) -> None:
    first = ResourceMetrics(registry=registry)
    for process in (os.getpid(), psutil.Process()):
        assert ResourceMetrics(process, registry).memory_usage is first.memory_usage


def test_another_process_on_the_same_registry_is_refused(
    registry: CollectorRegistry, sleeper: subprocess.Popen[bytes]
) -> None:
    ResourceMetrics(registry=registry)
    with pytest.raises(ValueError, match=f"process {os.getpid()}.*process {sleeper.pid}"):
        ResourceMetrics(process=sleeper.pid, registry=registry)


def test_a_metric_of_somebody_else_is_named(registry: CollectorRegistry) -> None:
    Gauge("cpu_usage_percent", "Mine.", registry=registry)
    with pytest.raises(ValueError, match=r"ResourceMetrics cannot register.*cpu_usage_percent"):
        ResourceMetrics(registry=registry)
    assert set(text_samples(registry)) == {CPU}


# Threads and forks


def sampler_count() -> int:
    return sum(thread.name == "perftui-resources" for thread in threading.enumerate())


def test_start_and_stop_are_idempotent(registry: CollectorRegistry) -> None:
    metrics = ResourceMetrics(registry=registry)
    metrics.stop()
    metrics.start(0.05)
    metrics.start(0.05)
    assert sampler_count() == 1
    until(lambda: CPU in text_samples(registry))
    metrics.start(60)
    until(lambda: sampler_count() == 1)
    metrics.stop()
    metrics.stop()
    assert sampler_count() == 0
    metrics.start(60)
    assert sampler_count() == 1
    metrics.stop()
    assert sampler_count() == 0


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_a_bad_interval_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        ResourceMetrics(registry=None).start(interval)


def test_a_child_has_no_reading_of_its_parent(registry: CollectorRegistry) -> None:
    metrics = ResourceMetrics(registry=registry)

    def child() -> tuple[set[Any], ResourceUse, ResourceUse, float]:
        inherited, use = set(text_samples(registry)), metrics.use()
        ballast = b"x" * 150_000_000
        metrics.update_resource_usage()
        actual = psutil.Process().memory_info().rss
        assert actual > len(ballast)
        assert abs(text_samples(registry)[MEMORY] - actual) < 20_000_000
        return inherited, use, metrics.use(), text_samples(registry)[MEMORY]

    inherited, use, own, memory = in_child(child)
    assert MEMORY not in inherited
    assert use == ResourceUse()
    assert own.cpu_percent is None
    assert memory == own.memory_rss
    assert MEMORY in text_samples(registry)


def test_the_thread_goes_on_in_a_child(registry: CollectorRegistry) -> None:
    metrics = ResourceMetrics(registry=registry)
    metrics.start(0.05)

    def child() -> tuple[int, float | None]:
        until(lambda: metrics.use().cpu_percent is not None)
        running = sampler_count()
        metrics.stop()
        return running - sampler_count(), metrics.use().memory_rss

    for _ in range(10):
        stopped, memory = in_child(child)
        assert stopped == 1
        assert memory
    metrics.stop()


def test_a_stopped_thread_stays_stopped_in_a_child() -> None:
    metrics = ResourceMetrics(registry=None)
    metrics.start(0.05)
    metrics.stop()
    assert in_child(sampler_count) == 0


MULTIPROCESS = """
import os, sys, time
from prometheus_client import CollectorRegistry, multiprocess
from perftui import ResourceMetrics
metrics = ResourceMetrics()
page = CollectorRegistry()
multiprocess.MultiProcessCollector(page)
own = metrics.use().memory_rss
reading, writing = os.pipe()
go_on, finish = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        os.close(finish)
        time.sleep(0.15)
        metrics.update_resource_usage()
        time.sleep(0.15)
        metrics.update_resource_usage()
        os.write(writing, b"%d\\n" % metrics.use().memory_rss)
        os.read(go_on, 1)
        os._exit(0)
os.close(writing)
with os.fdopen(reading) as lines:
    rss = [int(next(lines)) for _ in range(2)]
value = page.get_sample_value
print(value("memory_usage_bytes") == own + sum(rss))
print(0 <= value("cpu_usage_percent") < 400)
print(value("disk_io_bytes_total", {"operation": "write"}) >= 0)
os.close(finish)
for _ in range(2):
    multiprocess.mark_process_dead(os.wait()[0])
print(value("memory_usage_bytes") == own)
"""


def test_multi_process_mode_sums_the_live_workers(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MULTIPROCESS],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.split() == ["True", "True", "True", "True"]
