"""CPU time and memory that the services source costs the monitor, per sample of two seconds.

Run: PYTHONPATH=. python tests/benchmarks/services_source.py [processes] [operations]
"""

from __future__ import annotations

import gc
import pathlib
import random
import statistics
import sys
import time
import tracemalloc

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from redis_fixture import RedisProcess, find_binary

from perftui.metrics import report as reports
from perftui.metrics.buckets import DEFAULT
from perftui.metrics.report import OperationCounts, ServiceReport
from perftui.snapshot import Selection
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.source import ServicesSource

SAMPLES = 40
WARM_UP = 35
"""Samples until the fine slots are all in use."""


class Fleet:
    """Processes all of whose operations are called all the time, with times of its own."""

    def __init__(self, server: RedisProcess, processes: int, operations: int) -> None:
        self.server = server
        self.phases = [random.uniform(0, reports.INTERVAL) for _ in range(processes)]
        self.names = [f"GET /things/{number}" for number in range(operations)]
        self.counts = [[0] * (len(DEFAULT) + 1) for _ in range(processes)]

    def publish(self, now: float) -> None:
        """Write one report of each process, at the phase of each before `now`."""
        pipeline = self.server.client.pipeline(transaction=False)
        for number, phase in enumerate(self.phases):
            counts = self.counts[number]
            for place in range(len(counts)):
                counts[place] += random.randrange(1, 4)
            calls = sum(counts)
            operation = OperationCounts(calls, calls // 100, calls * 0.01, tuple(counts))
            report = ServiceReport(
                service="shop",
                instance=f"h{number % 3}:{number}:x",
                host=f"h{number % 3}",
                pid=number,
                started=1.0,
                time=now - phase,
                operations=dict.fromkeys(self.names, operation),
                bounds=DEFAULT,
                uptime=now - 1000.0,
                clock=now - phase,
            )
            pipeline.zadd(reports.INDEX_KEY, {f"shop/{report.instance}": now - phase})
            pipeline.set(reports.report_key("shop", report.instance), reports.encode(report))
        pipeline.execute()


class Clock(ServicesSource):
    """The source with a clock that the benchmark moves, so that minutes pass in seconds."""

    ahead = 0.0

    def _index(self, client: object):  # type: ignore[no-untyped-def]
        reading = super()._index(client)  # type: ignore[arg-type]
        reading.now += self.ahead
        reading.monotonic += self.ahead
        return reading


def measure(processes: int, operations: int, selection: Selection) -> None:
    """Print CPU milliseconds per sample and the memory that the source holds."""
    binary = find_binary()
    if binary is None:
        raise SystemExit("needs redis-server or valkey-server")
    server = RedisProcess(binary)
    try:
        source = Clock(RedisTarget.parse(server.url))
        source.select(selection)
        fleet = Fleet(server, processes, operations)
        fleet.publish(time.time())
        source.sample()
        spent = []
        for tick in range(1, WARM_UP + SAMPLES + 1):
            source.ahead = 2.0 * tick
            fleet.publish(time.time() + source.ahead)
            gc.collect()
            begin = time.thread_time()
            services = source.sample()
            spent.append(time.thread_time() - begin)
        (service,) = services
        assert service.processes == processes
        assert len(service.operations) == operations, service.notes
        assert all(each.count for each in service.operations)
        milliseconds = [1e3 * each for each in spent[WARM_UP:]]
        print(
            f"{processes:5} x {operations:3} operations{'' if selection == Selection() else ' +'}"
            f"  {statistics.median(milliseconds):7.2f} ms CPU in the median,"
            f" {max(milliseconds):7.2f} ms at most"
        )
        tracemalloc.start()
        again = Clock(RedisTarget.parse(server.url))
        for tick in range(160):
            again.ahead = source.ahead + 2.0 * tick
            fleet.publish(time.time() + again.ahead)
            services = again.sample()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        again.close()
        del again, services
        gc.collect()
        rest, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"{'':22} {(held - rest) / 1e6:7.2f} MB after five minutes, the reading included")
        source.close()
    finally:
        server.close()


def main() -> None:
    if len(sys.argv) > 2:
        measure(int(sys.argv[1]), int(sys.argv[2]), Selection())
        return
    measure(16, 200, Selection())
    measure(16, 200, Selection(hosts=("h1",), operation=("shop", "GET /things/7")))
    measure(4, 10, Selection())


if __name__ == "__main__":
    main()
