"""What a pool costs Redis and its readers, beside a filter that each client does by itself.

4 processes pick 5,000 times each over 7 servers; then one client picks from 10, 100 and 1,000
servers, and the processor time of Redis is read before and after (INFO cpu). The peer reads the
loads of all servers with HMGET, filters, and takes turns with INCR, as a client can do.

    nice -n 10 python -m tests.benchmarks.pool_registry
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import redis
import redis.asyncio

from perftui.pool.registry import PoolRegistry
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.target import RedisTarget
from tests.benchmarks.verdict import Verdict, quantile, show
from tests.redis_fixture import RedisProcess, find_binary

PICKS = 3000
SIZES = (10, 100, 1000)
AT_ONCE = 20


def pick_many(url: str, picks: int, ready: Any, results: Any) -> None:
    """Pick one after the other, once all are ready; put the seconds and who was picked."""

    async def work() -> tuple[float, Counter[str | None]]:
        async with PoolRegistry(url, "bench", timeout=10.0) as registry:
            await registry.decisions()
            await asyncio.to_thread(ready.wait)
            began = time.perf_counter()

            async def some() -> list[str | None]:
                return [await registry.pick() for _ in range(picks // AT_ONCE)]

            found = await asyncio.gather(*(some() for _ in range(AT_ONCE)))
            return time.perf_counter() - began, Counter(name for each in found for name in each)

    results.put(asyncio.run(work()))


def used(client: Any) -> float:
    """Return the processor seconds that Redis has used."""
    found = client.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


async def cost(
    client: Any, work: Callable[[], Awaitable[object]], times: int
) -> tuple[float, float]:
    """Return the microseconds of Redis per call, and calls per second of one client."""
    began, before = time.perf_counter(), used(client)

    async def some() -> None:
        for _ in range(times // AT_ONCE):
            await work()

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (used(client) - before) / times * 1e6, times / (time.perf_counter() - began)


async def beat_all(registry: PoolRegistry, names: list[str]) -> None:
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        await asyncio.gather(*(registry.heartbeat(name, 20.0, 30.0, 50.0, 2) for name in some))


async def exact_turns(url: str) -> tuple[set[int], float]:
    """Return how often servers were picked by four processes, and picks per second of all."""
    async with PoolRegistry(url, "bench", timeout=5.0) as registry:
        names = [f"s{i}" for i in range(7)]
        for name in names:
            await registry.register(name, f"{name}:80")
        context = multiprocessing.get_context("spawn")
        results, ready = context.Queue(), context.Barrier(4)
        workers = [
            context.Process(target=pick_many, args=(url, 5000, ready, results)) for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        ended = asyncio.gather(*(asyncio.to_thread(results.get) for _ in workers))
        while not ended.done():
            await beat_all(registry, names)
            await asyncio.wait([ended], timeout=0.5)
        found = ended.result()
        for worker in workers:
            worker.join()
    total: Counter[str | None] = sum((counts for _, counts in found), Counter())
    return set(total.values()), 20_000 / max(seconds for seconds, _ in found)


async def main() -> int:
    """Print all figures; return 1 when a promise was not kept."""
    binary = find_binary()
    if binary is None:
        print("no redis-server is installed")
        return 2
    server = RedisProcess(binary)
    server.start()
    verdicts: list[Verdict] = []
    try:
        turns, rate = await exact_turns(server.url)
        good = turns <= {2857, 2858}
        verdicts.append(Verdict("4 x 5,000 picks over 7", str(sorted(turns)), "2857, 2858", good))
        verdicts.append(
            Verdict("exact picks/s, 4 processes", f"{rate:,.0f}", ">= 5,000", rate >= 5000)
        )
        costs = []
        for size in SIZES:
            server.client.flushall()
            async with PoolRegistry(server.url, "bench", timeout=5.0) as registry:
                names = [f"s{i:04}" for i in range(size)]
                for name in names:
                    await registry.register(name, f"{name}:80")
                await beat_all(registry, names)
                turn = iter(names * (1 + 2000 // size))
                beat, _ = await cost(
                    server.client,
                    lambda r=registry, t=turn: r.heartbeat(next(t), 20.0, 30.0, 50.0, 2),  # type: ignore[misc]
                    2000,
                )
                await beat_all(registry, names)
                pick, picks = await cost(server.client, registry.pick, PICKS)
                costs.append(pick)
                naive, naive_rate = await peer(server, names)
                print(
                    f"{size:>5} servers: pick {pick:6.1f} us of Redis, {picks:7,.0f}/s;"
                    f" peer {naive:8.1f} us, {naive_rate:7,.0f}/s; heartbeat {beat:5.1f} us"
                )
        verdicts.append(
            Verdict("Redis us per pick at 1,000", f"{costs[-1]:.1f}", "<= 25", costs[-1] <= 25.0)
        )
        ratio = costs[-1] / costs[0]
        verdicts.append(Verdict("at 1,000 of at 10", f"{ratio:.2f}", "about 1", ratio <= 1.3))
        source = PoolsSource(RedisTarget.parse(server.url))
        times = []
        for _ in range(20):
            began = time.perf_counter()
            source.sample()
            times.append((time.perf_counter() - began) * 1e3)
        median = quantile(times, 0.5)
        words = f"{median:.1f}, worst {max(times):.1f}"
        verdicts.append(Verdict("ms to read 1,000, median", words, "<= 25", median <= 25.0))
    finally:
        server.close()
    return 0 if show(verdicts) else 1


async def peer(server: RedisProcess, names: list[str]) -> tuple[float, float]:
    """Return the same of HMGET of all, a filter here, and INCR."""
    load = json.dumps({"cpu_usage": 20.0, "memory_usage": 30.0, "requests_per_second": 50.0})
    server.client.hset("naive", mapping=dict.fromkeys(names, load))
    client = redis.asyncio.Redis.from_url(server.url)

    async def work() -> str:
        loads = [json.loads(each or "{}") for each in await client.hmget("naive", names)]
        fit = [
            name
            for name, each in zip(names, loads, strict=True)
            if each["cpu_usage"] <= 80
            and each["memory_usage"] <= 90
            and each["requests_per_second"] <= 1000
        ]
        return fit[(await client.incr("naive:rr") - 1) % len(fit)]

    try:
        return await cost(server.client, work, 200)
    finally:
        await client.aclose()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
