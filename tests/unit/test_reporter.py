"""The Reporter: what it publishes, under which name, and how it starts and stops."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry
from redis_fixture import RedisProcess
from reporter_checks import FAST, HANG, members, report_of, reports, run, wait_for, wait_reports

from perftui.metrics.execution import ExecutionMetrics
from perftui.metrics.report import (
    ENDED_KEY,
    EXPIRY,
    FORGOTTEN_AFTER,
    INDEX_KEY,
    CacheCounts,
    report_key,
)
from perftui.metrics.reporter import Reporter, ReporterStatus
from perftui.metrics.reporter_hooks import take_leave
from perftui.metrics.resources import ResourceMetrics


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=CollectorRegistry())


@pytest.fixture
def reporter(redis_server: RedisProcess, metrics: ExecutionMetrics) -> Iterator[Reporter]:
    with Reporter(redis_server.url, "shop", interval=FAST, metrics=metrics) as reporter:
        yield reporter


def test_a_report_says_what_was_counted(
    redis_server: RedisProcess, metrics: ExecutionMetrics, reporter: Reporter
) -> None:
    metrics.record_execution("checkout", 0.03, True)
    metrics.record_execution("checkout", 20.0, False)
    metrics.record_cancellation("checkout")
    wait_reports(reporter)
    report = report_of(redis_server, reporter)
    counts = report.operations["checkout"]
    assert (counts.count, counts.failures, counts.cancelled) == (2, 1, 1)
    assert counts.seconds == pytest.approx(20.03)
    assert len(counts.buckets) == len(report.bounds) + 1
    assert counts.buckets[-1] == 1
    assert counts.buckets[report.bounds.index(0.035)] == 1
    assert report.service == "shop"
    assert report.pid == os.getpid()
    assert not report.ended
    assert report.resources is not None
    assert report.resources.memory_rss is not None
    assert report.resources.memory_rss > 1_000_000
    assert report.resources.cpu_percent is not None
    assert members(redis_server) == [f"shop/{report.instance}"]
    assert 0 < redis_server.client.ttl(report_key("shop", report.instance)) <= EXPIRY


def test_times_are_by_the_clock_of_redis_and_the_counts_began_at_zero(
    redis_server: RedisProcess, reporter: Reporter
) -> None:
    def redis_time() -> float:
        seconds, micros = redis_server.client.time()
        return int(seconds) + int(micros) / 1e6

    wait_reports(reporter)
    first = report_of(redis_server, reporter)
    before = redis_time()
    wait_reports(reporter, 2)
    second = report_of(redis_server, reporter)
    assert before - FAST <= second.time <= redis_time()
    assert second.uptime - first.uptime == pytest.approx(second.time - first.time, abs=0.01)
    assert second.time - second.uptime == pytest.approx(first.time - first.uptime, abs=0.01)
    assert second.started == first.started
    [(_, score)] = redis_server.client.zrange(INDEX_KEY, 0, -1, withscores=True)
    assert score >= second.time - 1e-5
    assert second.clock == pytest.approx(second.time, abs=1.0)


def test_a_wrong_clock_of_the_host_shows_in_clock_only(
    redis_server: RedisProcess, metrics: ExecutionMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() - 3600)
    with Reporter(redis_server.url, "shop", interval=FAST, metrics=metrics) as reporter:
        wait_reports(reporter)
        report = report_of(redis_server, reporter)
        assert report.time == pytest.approx(right(), abs=5)
        assert report.time - report.clock == pytest.approx(3600, abs=5)
        assert report.started == pytest.approx(right() - 3600, abs=30)
        assert 0 <= report.uptime < 30


def test_counts_from_before_the_reporter_are_dated_to_the_start_of_the_process(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    import psutil

    metrics.record_execution("early", 0.1, True)
    with Reporter(redis_server.url, "shop", interval=FAST, metrics=metrics) as reporter:
        wait_reports(reporter)
        report = report_of(redis_server, reporter)
    assert report.operations["early"].count == 1
    age = time.time() - psutil.Process().create_time()
    assert report.uptime == pytest.approx(age, abs=2.0)


def test_the_default_metrics_are_found_when_somebody_makes_them_later(
    redis_server: RedisProcess,
) -> None:
    done = run(
        "import time\n"
        "from perftui import Reporter\n"
        "reporter = Reporter(service='late', interval=0.1).start()\n"
        "while not reporter.status.reports: time.sleep(0.01)\n"
        # A Reporter that had made the metrics itself would make this an error.
        "from perftui import ExecutionMetrics\n"
        "ExecutionMetrics(buckets=(0.5, 1)).record_execution('a', 0.7, True)\n",
        REDIS_URL=redis_server.url,
    )
    assert done.returncode == 0, done.stderr
    [report] = reports(redis_server)
    assert report.bounds == (0.5, 1.0)
    assert report.operations["a"].buckets == (0, 1, 0)
    assert report.ended


def test_caches_and_given_resources_are_reported(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    counts = CacheCounts(9, 1, 1, 0, 5, 500, 2)
    resources = ResourceMetrics(registry=CollectorRegistry())
    with Reporter(
        redis_server.client,
        "shop",
        interval=FAST,
        metrics=metrics,
        resources=resources,
        caches=lambda: {"user:": counts},
    ) as reporter:
        wait_reports(reporter)
        report = report_of(redis_server, reporter)
    assert report.caches == {"user:": counts}
    assert report.resources is not None
    assert report.resources.memory_rss is not None


@pytest.mark.parametrize(
    "caches",
    [
        lambda: 1 / 0,
        lambda: {"user:": "many"},
        lambda: {"\udcff": CacheCounts(0, 0, 0, 0, 0, 0, 0)},
        lambda: None,
        lambda: sys.exit(1),
    ],
)
def test_a_hook_that_fails_is_left_out_and_named_once(
    redis_server: RedisProcess,
    metrics: ExecutionMetrics,
    caplog: pytest.LogCaptureFixture,
    caches: Callable[[], dict[str, CacheCounts]],
) -> None:
    metrics.record_execution("a", 0.1, True)
    with (
        caplog.at_level(logging.WARNING),
        Reporter(
            redis_server.url, "shop", interval=FAST, metrics=metrics, resources=None, caches=caches
        ) as reporter,
    ):
        wait_reports(reporter, 3)
        report = report_of(redis_server, reporter)
    assert report.caches == {}
    assert report.resources is None
    assert report.operations["a"].count == 1
    assert [record.getMessage() for record in caplog.records] == [
        "reports of service shop go without caches, which failed"
    ]


def test_stop_leaves_the_last_counts_and_no_ghost(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    reporter = Reporter(redis_server.url, "shop", metrics=metrics).start()
    wait_for(lambda: reporter.status.reports)
    metrics.record_execution("a", 0.1, True)
    reporter.stop()
    member = f"shop/{reporter.status.instance}"
    assert members(redis_server) == []
    assert members(redis_server, ENDED_KEY) == [member]
    assert 0 < redis_server.client.ttl(ENDED_KEY) <= EXPIRY
    report = report_of(redis_server, reporter)
    assert report.ended
    assert report.operations["a"].count == 1
    assert reporter.status.state == "stopped"
    reporter.stop()


def test_leave_is_taken_at_once_and_taken_back_by_the_next_report(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    with Reporter(redis_server.url, "shop", interval=0.5, metrics=metrics) as reporter:
        wait_for(lambda: reporter.status.reports)
        metrics.record_execution("a", 0.1, True)
        member = f"shop/{reporter.status.instance}"
        take_leave()
        assert members(redis_server) == []
        assert members(redis_server, ENDED_KEY) == [member]
        report = report_of(redis_server, reporter)
        assert (report.ended, report.operations["a"].count) == (True, 1)
        wait_reports(reporter)
        assert members(redis_server) == [member]
        assert members(redis_server, ENDED_KEY) == []
        assert not report_of(redis_server, reporter).ended


def test_a_new_start_goes_on_as_the_same_process(
    redis_server: RedisProcess, metrics: ExecutionMetrics, reporter: Reporter
) -> None:
    wait_reports(reporter)
    metrics.record_execution("a", 0.1, True)
    first = report_of(redis_server, reporter)
    reporter.stop()
    reporter.start().start()
    wait_reports(reporter)
    again = report_of(redis_server, reporter)
    assert again.instance == first.instance
    assert again.operations["a"].count == 1
    assert again.uptime > first.uptime
    assert not again.ended
    assert members(redis_server) == [f"shop/{first.instance}"]
    assert members(redis_server, ENDED_KEY) == []
    assert threading.active_count() < 20


def test_reporters_of_the_same_counts_are_one_process(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    other = ExecutionMetrics(registry=CollectorRegistry())
    with Reporter(redis_server.url, "shop", interval=5, metrics=metrics) as first:
        wait_for(lambda: first.status.reports)
        with (
            Reporter(redis_server.url, "shop", interval=FAST, metrics=metrics) as twin,
            Reporter(redis_server.url, "shop", interval=FAST, metrics=other) as different,
        ):
            wait_reports(twin)
            wait_reports(different)
            assert twin.status.instance == first.status.instance
            assert len(members(redis_server)) == 2
        # The first one still reports, so that was no farewell; the other counts have ended.
        assert members(redis_server) == [f"shop/{first.status.instance}"]
        assert members(redis_server, ENDED_KEY) == [f"shop/{different.status.instance}"]
        assert not report_of(redis_server, first).ended
    assert members(redis_server) == []


def test_processes_that_ended_without_a_word_leave_the_index_one_day(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    now = time.time()
    redis_server.client.zadd(INDEX_KEY, {"shop/dead": now - FORGOTTEN_AFTER - 10})
    redis_server.client.zadd(INDEX_KEY, {"shop/stale": now - FORGOTTEN_AFTER + 600})
    with Reporter(redis_server.url, "shop", metrics=metrics) as reporter:
        wait_for(lambda: reporter.status.reports)
        assert set(members(redis_server)) == {"shop/stale", f"shop/{reporter.status.instance}"}


def test_status_before_and_after(reporter: Reporter, metrics: ExecutionMetrics) -> None:
    assert Reporter("redis://localhost:1", "other", metrics=metrics).status == ReporterStatus(
        "off", "other", "", None, "", 0
    )
    wait_reports(reporter)
    status = reporter.status
    assert status.state == "reporting"
    assert status.last_success is not None
    assert 0 <= status.last_success < HANG
    assert status.error == ""


def test_a_system_without_threads_to_give_is_no_error(
    redis_server: RedisProcess, metrics: ExecutionMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        reporter = Reporter(redis_server.url, "shop", metrics=metrics).start()
        assert reporter.status.state == "failing"
        assert reporter.status.error == "can't start new thread"
        reporter.stop()
    reporter.start()
    wait_for(lambda: reporter.status.reports)
    reporter.stop()


def test_a_system_that_hides_its_processes_is_no_error(
    redis_server: RedisProcess,
    metrics: ExecutionMetrics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hide(*_: object) -> None:
        raise psutil.NoSuchProcess(os.getpid())

    metrics.record_execution("a", 0.1, True)
    monkeypatch.setattr(psutil, "Process", hide)
    with Reporter(redis_server.url, "shop", interval=FAST, metrics=metrics) as reporter:
        wait_reports(reporter)
        report = report_of(redis_server, reporter)
    assert report.resources is None
    assert report.operations["a"].count == 1
    assert [record.getMessage() for record in caplog.records] == [
        "reports of service shop go without resources, which failed"
    ]


def test_cpu_is_told_once_there_was_time_to_measure(
    redis_server: RedisProcess, metrics: ExecutionMetrics
) -> None:
    with Reporter(redis_server.url, "shop", interval=0.5, metrics=metrics) as reporter:
        wait_for(lambda: reporter.status.reports)
        first = report_of(redis_server, reporter).resources
        wait_reports(reporter)
        later = report_of(redis_server, reporter).resources
    assert first is not None
    assert first.cpu_percent is None
    assert first.memory_rss is not None
    assert later is not None
    assert later.cpu_percent is not None


def test_importing_the_reporter_is_cheap_until_it_is_made() -> None:
    heavy = "{'redis', 'psutil', 'prometheus_client', 'textual', 'plotext'}"
    done = run(f"import sys, perftui; perftui.Reporter; print({heavy} & set(sys.modules))")
    assert done.stdout == "set()\n"


def test_profiling_is_allowed_where_the_kernel_has_yama() -> None:
    # In a process of its own: it is a permission that cannot be taken back by name.
    done = run(
        "import os, perftui\n"
        "print(perftui.allow_profiling(), perftui.Reporter('redis://h', allow_profiling=True)"
        ".allow_profiling())\n"
        "child = os.fork()\n"
        "os._exit(0) if child == 0 else os.waitpid(child, 0)\n"
    )
    yama = Path("/proc/sys/kernel/yama/ptrace_scope").exists()
    assert done.stdout == f"{yama} {yama}\n"
    assert done.stderr == ""
