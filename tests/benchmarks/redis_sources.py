"""CPU time that one sample of each Redis source costs the monitor.

Run: PYTHONPATH=. python tests/benchmarks/redis_sources.py [processes] [servers]
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable

import msgspec

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from redis_fixture import RedisProcess, find_binary

from perftui.metrics import report as reports
from perftui.metrics.report import CacheCounts, OperationCounts, ServiceReport
from perftui.pool.keys import POOLS_KEY, ServerLoad, ServerMeta, pool_key
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.server import RedisServerSource
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.source import ServicesSource

SAMPLES = 200


def publish(server: RedisProcess, processes: int, tick: int) -> None:
    """Write the reports of several processes with 20 operations of 16 buckets and 2 caches."""
    pipeline = server.client.pipeline(transaction=False)
    for number in range(processes):
        report = ServiceReport(
            service="shop",
            instance=f"h{number % 3}:{number}",
            host=f"h{number % 3}",
            pid=number,
            started=1.0,
            time=time.time(),
            uptime=1000.0,
            clock=time.time(),
            operations={
                f"operation_{name}": OperationCounts(tick * 9, tick, tick * 0.5, (tick,) * 16)
                for name in range(20)
            },
            caches={
                name: CacheCounts(tick * 9, tick, tick, tick, 9, 999, 0)
                for name in ("user:", "item:")
            },
            bounds=tuple(0.001 * 2**power for power in range(15)),
        )
        pipeline.zadd(reports.INDEX_KEY, {f"shop/{report.instance}": time.time()})
        pipeline.set(reports.report_key("shop", report.instance), reports.encode(report))
    pipeline.execute()


def fill_pool(server: RedisProcess, servers: int) -> None:
    """Write one pool of servers with heartbeats that stay fresh for the time of this run."""
    names = [f"server-{number:05}" for number in range(servers)]
    client = server.client
    client.sadd(POOLS_KEY, "web")
    load = msgspec.json.encode(ServerLoad(51.25, 42.5, 123.75, 4))
    meta = msgspec.json.encode(ServerMeta("10.0.0.1:8080", 1, 1.0))
    for part, value in (("load", load), ("meta", meta), ("inflight", b"4"), ("picks", b"12345")):
        client.hset(pool_key("web", part), mapping=dict.fromkeys(names, value))
    client.zadd(pool_key("web", "seen"), dict.fromkeys(names, time.time() + 60))
    client.zadd(pool_key("web", "ok"), dict.fromkeys(names, 1))


def measure(
    name: str, sample: Callable[[], object], before: Callable[[int], None], samples: int = SAMPLES
) -> None:
    """Print CPU and wall milliseconds per sample; what `before` does is not counted."""
    spent = elapsed = 0.0
    for tick in range(samples + 5):
        before(tick)
        cpu, wall = time.thread_time(), time.perf_counter()
        sample()
        if tick >= 5:
            spent += time.thread_time() - cpu
            elapsed += time.perf_counter() - wall
    print(f"{name:40} {spent / samples * 1e3:8.3f} ms CPU {elapsed / samples * 1e3:8.3f} ms wall")


def main() -> None:
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    servers = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    binary = find_binary()
    if binary is None:
        raise SystemExit("needs redis-server or valkey-server")
    server = RedisProcess(binary)
    target = RedisTarget.parse(server.url)
    try:
        measure("redis", RedisServerSource(target).sample, lambda _: None)
        measure(
            f"services ({processes} processes, 20 operations)",
            ServicesSource(target).sample,
            lambda tick: publish(server, processes, tick),
        )
        fill_pool(server, servers)
        measure(f"pools ({servers} servers)", PoolsSource(target).sample, lambda _: None)
        fill_pool(server, 1000)
        measure("pools (1000 servers)", PoolsSource(target).sample, lambda _: None, 30)
    finally:
        server.close()


if __name__ == "__main__":
    main()
