"""What a Reporter costs the service: CPU of its thread with 100 operations that are all active.

Run: PYTHONPATH=. python tests/benchmarks/reporter.py [reports]

Everything on the thread is counted: reading the metrics, resources, encoding, the client of Redis
and its answers. The budget is 0.2 % of a core at an interval of 2 s. A forked process takes the
counts of its parent off each time, so it has a row of its own.
"""

from __future__ import annotations

import os
import pathlib
import sys
import threading
import time

import msgspec

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from redis_fixture import MISSING, RedisProcess, find_binary

from perftui.metrics.execution import ExecutionMetrics
from perftui.metrics.report import INTERVAL, report_key
from perftui.metrics.reporter import Reporter

OPERATIONS = 100
BUDGET = 0.2
"""Percent of a core."""


class Cost(msgspec.Struct):
    """CPU seconds per report, percent of a core at the interval it was measured at, and bytes."""

    cpu: float
    share: float
    size: int


def measure(
    server: RedisProcess, metrics: ExecutionMetrics, reporter: Reporter, reports: int, pause: float
) -> Cost:
    """Measure so many reports while all operations are called between any two of them."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(pause):
            call_all(metrics)

    traffic = threading.Thread(target=serve)
    traffic.start()
    while reporter.status.reports < 3:
        time.sleep(pause)
    before, begin, used = reporter.status.reports, time.monotonic(), thread_cpu()
    while reporter.status.reports < before + reports:
        time.sleep(pause)
    cpu, wall = thread_cpu() - used, time.monotonic() - begin
    count = reporter.status.reports - before
    stop.set()
    traffic.join()
    size = server.client.strlen(report_key("benchmark", reporter.status.instance))
    return Cost(cpu / count, 100 * cpu / wall, size)


def call_all(metrics: ExecutionMetrics) -> None:
    """Call every operation once, each with a duration of its own."""
    for number in range(OPERATIONS):
        name = f"GET /api/orders/{{order}}/lines/{number}"
        metrics.record_execution(name, 0.001 * 1.07**number, number % 10 != 0)


def thread_cpu() -> float:
    """Return the CPU seconds of the Reporter's thread, by its own clock."""
    [thread] = [t for t in threading.enumerate() if t.name == "perftui-reporter"]
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def start(server: RedisProcess, interval: float) -> tuple[ExecutionMetrics, Reporter]:
    """Return metrics with all operations in them and a Reporter of them."""
    metrics = ExecutionMetrics()
    call_all(metrics)
    reporter = Reporter(server.url, "benchmark", interval=interval, metrics=metrics)
    return metrics, reporter.start()


def run(server: RedisProcess, interval: float, reports: int, *, forked: bool) -> Cost:
    """Measure in a process of its own, forked after the start of the Reporter or before it."""
    reading, writing = os.pipe()
    started = start(server, interval) if forked else None
    if os.fork() == 0:
        metrics, reporter = started or start(server, interval)
        cost = measure(server, metrics, reporter, reports, interval / 2)
        os.write(writing, msgspec.json.encode(cost))
        os._exit(0)
    os.wait()
    if started is not None:
        started[1].stop()
    with os.fdopen(reading, "rb") as answer:
        os.close(writing)
        return msgspec.json.decode(answer.read(), type=Cost)


def main() -> None:
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    binary = find_binary()
    if binary is None:
        sys.exit(f"needs {MISSING}")
    server = RedisProcess(binary)
    try:
        print(f"{OPERATIONS} operations, {reports} reports; budget {BUDGET} % at {INTERVAL:g} s")
        print(f"{'':<28}{'bytes':>8}{'CPU/report':>13}{'at 2 s':>10}{'measured':>11}")
        for what, interval, forked in (
            ("every 2 s", INTERVAL, False),
            ("every 0.1 s", 0.1, False),
            ("every 0.1 s, forked", 0.1, True),
        ):
            cost = run(server, interval, reports, forked=forked)
            print(
                f"{what:<28}{cost.size:>8,}{1000 * cost.cpu:>10.2f} ms"
                f"{100 * cost.cpu / INTERVAL:>8.3f} %{cost.share:>9.3f} %"
            )
    finally:
        server.close()


if __name__ == "__main__":
    main()
