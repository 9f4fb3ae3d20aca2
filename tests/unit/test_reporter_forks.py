"""Forked processes, multiprocessing, signals: every process reports what it counted itself."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from redis_fixture import RedisProcess
from reporter_checks import ROOT, members, reports, run

from perftui.metrics.report import CacheCounts, OperationCounts
from perftui.metrics.reported_process import ReportedProcess, new_instance, own_lookups

FORK = """
import os, sys, time
from perftui import ExecutionMetrics, Reporter
class Slow(ExecutionMetrics):
    def counts(self):
        time.sleep(0.02)
        return super().counts()
metrics = Slow()
reporter = Reporter(service="shop", interval=0.1, metrics=metrics).start()
while not reporter.status.reports: time.sleep(0.01)
for _ in range(5): metrics.record_execution("parent", 0.01, True)
for _ in range(2): metrics.record_execution("both", 0.01, True)
parent = reporter.status.instance
child = os.fork()
if child == 0:
    for _ in range(3): metrics.record_execution("both", 0.3, False)
    metrics.record_execution("child", 0.01, True)
    while reporter.status.reports < 2: time.sleep(0.01)
    assert reporter.status.instance != parent
    metrics.record_execution("child", 0.01, True)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
before = reporter.status.reports
while reporter.status.reports < before + 2: time.sleep(0.01)
metrics.record_execution("parent", 0.01, True)
"""


@pytest.mark.parametrize("multiprocess", [False, True])
def test_a_forked_process_reports_what_it_counted_itself(
    redis_server: RedisProcess, tmp_path: Path, multiprocess: bool
) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if multiprocess else {}
    done = run(FORK, REDIS_URL=redis_server.url, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = {frozenset(report.operations): report for report in reports(redis_server)}
    parent, child = found[frozenset({"parent", "both"})], found[frozenset({"both", "child"})]
    assert len(found) == 2
    assert parent.operations["parent"].count == 6
    assert parent.operations["both"].count == 2
    both = child.operations["both"]
    assert (both.count, both.failures, sum(both.buckets)) == (3, 3, 3)
    assert both.seconds == pytest.approx(0.9)
    assert child.operations["child"].count == 2
    assert child.pid != parent.pid
    assert child.started > parent.started
    assert child.uptime < parent.uptime
    assert parent.ended
    assert child.ended


def test_a_child_of_multiprocessing_says_farewell(redis_server: RedisProcess) -> None:
    done = run(
        "import multiprocessing, time\n"
        "from perftui import ExecutionMetrics, Reporter\n"
        "metrics = ExecutionMetrics()\n"
        "Reporter(service='shop').start()\n"
        "def work():\n"
        "    metrics.record_execution('work', 0.01, True)\n"
        "context = multiprocessing.get_context('fork')\n"
        "children = [context.Process(target=work) for _ in range(3)]\n"
        "for child in children: child.start()\n"
        "for child in children: child.join()\n",
        REDIS_URL=redis_server.url,
    )
    assert done.returncode == 0, done.stderr
    counts = [
        report.operations["work"].count for report in reports(redis_server) if report.operations
    ]
    assert counts == [1, 1, 1]
    assert members(redis_server) == []


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_with_a_reporter_of_its_own_says_farewell(
    redis_server: RedisProcess, tmp_path: Path, method: str
) -> None:
    (tmp_path / "worker.py").write_text(
        "def work():\n"
        "    from perftui import ExecutionMetrics, Reporter\n"
        "    reporter = Reporter(service='shop').start()\n"
        "    while not reporter.status.reports: pass\n"
        "    ExecutionMetrics().record_execution('work', 0.01, True)\n"
    )
    done = run(
        "import multiprocessing, worker\n"
        f"child = multiprocessing.get_context({method!r}).Process(target=worker.work)\n"
        "child.start()\n"
        "child.join()\n",
        REDIS_URL=redis_server.url,
        PYTHONPATH=f"{tmp_path}:{ROOT}",
    )
    assert done.stderr == ""
    (report,) = reports(redis_server)
    assert report.ended
    assert report.operations["work"].count == 1
    assert members(redis_server) == []


def test_a_fork_while_a_reporter_starts(redis_server: RedisProcess) -> None:
    done = run(
        "import os, threading, time\n"
        "from perftui import ExecutionMetrics, Reporter\n"
        "from perftui.metrics import reporter_life\n"
        "metrics, original = ExecutionMetrics(), reporter_life.reported_process\n"
        "def fork():\n"
        "    if os.fork(): return\n"
        "    metrics.record_execution('child', 0.01, True)\n"
        "    end = time.monotonic() + 5\n"
        "    while not reporter.status.reports and time.monotonic() < end: time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "def slow(*arguments):\n"
        "    reporter_life.reported_process = original\n"
        "    other = threading.Thread(target=fork)\n"
        "    other.start()\n"
        "    other.join()\n"
        "    return original(*arguments)\n"
        "reporter_life.reported_process = slow\n"
        "reporter = Reporter(service='shop', interval=0.1)\n"
        "reporter.start()\n"
        "os.wait()\n",
        REDIS_URL=redis_server.url,
    )
    assert done.stderr == ""
    assert [r.operations["child"].count for r in reports(redis_server) if r.operations] == [1]


def test_a_child_that_only_executes_another_program_is_never_heard_of(
    redis_server: RedisProcess,
) -> None:
    done = run(
        "import subprocess, time\n"
        "from perftui import Reporter\n"
        "reporter = Reporter(service='shop', interval=0.1).start()\n"
        "while not reporter.status.reports: time.sleep(0.01)\n"
        "subprocess.run(['sleep', '0.3'], preexec_fn=lambda: None, check=True)\n",
        REDIS_URL=redis_server.url,
    )
    assert done.returncode == 0, done.stderr
    assert len(reports(redis_server)) == 1


def test_made_before_a_fork_and_started_behind_it(redis_server: RedisProcess) -> None:
    done = run(
        "import os, sys\n"
        "from perftui import ExecutionMetrics, Reporter\n"
        "metrics = ExecutionMetrics()\n"
        "metrics.record_execution('preload', 0.1, True)\n"
        "reporter = Reporter(service='shop')\n"
        "for _ in range(2):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        reporter.start()\n"
        "        metrics.record_execution('work', 0.1, True)\n"
        "        sys.exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n",
        REDIS_URL=redis_server.url,
    )
    assert done.returncode == 0, done.stderr
    found = [
        {name: counts.count for name, counts in report.operations.items()}
        for report in reports(redis_server)
    ]
    assert found == [{"work": 1}, {"work": 1}]


def test_a_signal_of_the_service_stays_its_own(redis_server: RedisProcess) -> None:
    done = run(
        "import os, signal\n"
        "from perftui import Reporter\n"
        "Reporter(service='shop').start()\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n",
        REDIS_URL=redis_server.url,
    )
    assert done.returncode == -signal.SIGTERM


def test_ids_differ_where_hosts_and_numbers_are_alike() -> None:
    ids = {new_instance("app", 1) for _ in range(1000)}
    assert len(ids) == 1000
    assert all("/" not in new_instance("a/b" * 100, 1) for _ in range(10))
    assert max(map(len, ids)) < 20
    assert len(new_instance("h" * 300, 4194304)) < 60


def test_counts_that_began_again_are_not_taken_off() -> None:
    process = ReportedProcess(0.0)
    process.inherit({"a": OperationCounts(9, 1, 2.0, (9, 0))})
    begun_again = {"a": OperationCounts(4, 2, 1.0, (3, 1))}
    assert process.own_operations(begun_again) == begun_again
    before, after = CacheCounts(5, 5, 5, 5, 1, 10, 5), CacheCounts(7, 6, 5, 5, 3, 30, 6)
    assert own_lookups(after, before) == CacheCounts(2, 1, 0, 0, 3, 30, 1)
    assert own_lookups(before, after) == before
