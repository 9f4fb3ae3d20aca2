"""How fast a change reaches the memory tiers of eight processes, and what a look-up costs.

Usage: python tests/benchmarks/cache_coherence.py [--processes 8] [--rounds 100] [--keys 200]

Each round all processes read all keys into memory, then one process calls `invalidate('user:*')`
while each of the others looks at its memory tier again and again. What is printed is the time from
the begin of the call to the moment each process saw its memory tier empty of the keys, by a clock
that all processes of a machine share. The same for one key that a client like redis-cli writes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from redis_fixture import RedisProcess, find_binary  # noqa: E402

from perftui.cache.config import CacheConfig  # noqa: E402
from perftui.cache.manager import CacheManager  # noqa: E402

TARGET = 0.05


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def line(name: str, values: list[float]) -> str:
    return (
        f"{name:<44} n {len(values):>6}  p50 {statistics.median(values) * 1e3:8.3f} ms  "
        f"p99 {quantile(values, 0.99) * 1e3:8.3f} ms  max {max(values) * 1e3:8.3f} ms"
    )


async def member(url: str, keys: int, pipe: Connection) -> None:
    """Warm memory when told to, then report when it was empty."""
    loop = asyncio.get_running_loop()
    async with CacheManager(CacheConfig(url=url, prefix="app:"), metrics=False) as manager:
        names = [f"user:{n}" for n in range(keys)]
        pipe.send("ready")
        while await loop.run_in_executor(None, pipe.recv) == "warm":
            deadline = time.monotonic() + 5
            while manager.memory.items < keys and time.monotonic() < deadline:
                for name in names:
                    await manager.get_cached(name)
            pipe.send(manager.memory.items)
            # A service at work: it answers requests while the listener listens.
            while manager.memory.items:
                await asyncio.sleep(0.0005)
            pipe.send(time.monotonic())


def run_member(url: str, keys: int, pipe: Connection) -> None:
    asyncio.run(member(url, keys, pipe))


async def pattern_rounds(
    server: RedisProcess, pipes: list[Connection], keys: int, rounds: int, single: bool
) -> tuple[list[float], list[float]]:
    delays: list[float] = []
    slowest: list[float] = []
    async with CacheManager(CacheConfig(url=server.url, prefix="app:"), metrics=False) as manager:
        for turn in range(rounds):
            for n in range(keys):
                await manager.set_cached(f"user:{n}", {"id": n, "turn": turn})
            await asyncio.sleep(0.01)
            for pipe in pipes:
                pipe.send("warm")
            for pipe in pipes:
                assert pipe.recv() == keys
            await asyncio.sleep(0.01)
            began = time.monotonic()
            if single:
                server.client.delete("app:user:0")
            else:
                await manager.invalidate("user:*")
            seen = [pipe.recv() - began for pipe in pipes]
            delays += seen
            slowest.append(max(seen))
    return delays, slowest


def measure(arguments: argparse.Namespace, server: RedisProcess, keys: int, single: bool) -> bool:
    context = multiprocessing.get_context("spawn")
    pipes, members = [], []
    for _ in range(arguments.processes):
        here, there = context.Pipe()
        process = context.Process(target=run_member, args=(server.url, keys, there), daemon=True)
        process.start()
        pipes.append(here)
        members.append(process)
    try:
        for pipe in pipes:
            assert pipe.recv() == "ready"
        what = "DEL of 1 key by another client" if single else f"invalidate('user:*'), {keys} keys"
        delays, slowest = asyncio.run(pattern_rounds(server, pipes, keys, arguments.rounds, single))
        print(line(f"{what}: each of {arguments.processes} processes", delays))
        print(line(f"{what}: the last of them", slowest))
        return quantile(slowest, 0.99) <= TARGET
    finally:
        for pipe in pipes:
            pipe.send("end")
        for process in members:
            process.join(3)
            process.kill()


async def costs(server: RedisProcess) -> None:
    async with CacheManager(CacheConfig(url=server.url, prefix="app:"), metrics=False) as manager:
        await manager.set_cached("k", {"id": 1, "name": "a name", "tags": ["a", "b"]})
        await asyncio.sleep(0.02)
        await manager.get_cached("k")
        for name, count, work in (
            ("memory hit, awaited", 50_000, lambda n: manager.get_cached("k")),
            ("Redis miss", 2_000, lambda n: manager.get_cached(f"n{n}")),
            ("set_cached", 2_000, lambda n: manager.set_cached(f"s{n}", n)),
        ):
            began = time.perf_counter()
            for n in range(count):
                await work(n)
            seconds = (time.perf_counter() - began) / count
            print(f"{name:<44} {seconds * 1e6:9.2f} us   {1 / seconds:12,.0f} per second")
        server.kill()
        await asyncio.sleep(0.05)
        for name in ("Redis dead, first call", "Redis dead, further calls"):
            count = 1 if name.endswith("first call") else 1000
            began = time.perf_counter()
            for _ in range(count):
                await manager.get_cached("k")
            print(f"{name:<44} {(time.perf_counter() - began) / count * 1e6:9.2f} us")
        server.start()
        began = time.perf_counter()
        while not (manager.redis_answers and manager.coherence.state.value == "live"):
            await asyncio.sleep(0.001)
        print(f"{'live again after the server is up':<44} {time.perf_counter() - began:9.3f} s")
        server.freeze()
        for name in ("Redis frozen, first call", "Redis frozen, further calls"):
            count = 1 if name.endswith("first call") else 1000
            began = time.perf_counter()
            for _ in range(count):
                await manager.get_cached("other")
            print(f"{name:<44} {(time.perf_counter() - began) / count * 1e6:9.2f} us")
        server.thaw()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--keys", type=int, default=200)
    arguments = parser.parse_args()
    binary = find_binary()
    assert binary is not None
    server = RedisProcess(binary)
    try:
        asyncio.run(costs(server))
        good = measure(arguments, server, arguments.keys, single=False)
        measure(arguments, server, 1, single=True)
        print("within 50 ms, p99 of the slowest process:", "yes" if good else "NO")
        return 0 if good else 1
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
