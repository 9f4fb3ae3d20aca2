"""How fast an invalidation from the pane empties the memory tiers of eight processes.

Run: PYTHONPATH=. python tests/benchmarks/cache.py --only emptied [--rounds 200]

Each round all processes read all keys into memory, then the engine deletes `user:*` as the pane
has it done, with a journal for the undo and an entry in the audit, while each process looks at its
memory tier again and again. What is told is the time from the begin of the run to the moment each
process saw its memory tier empty of the keys, by a clock that all processes of a machine share. The
same for one key that a client like redis-cli deletes, and what a look-up costs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from redis_fixture import RedisProcess
from verdict import Verdict, quantile

from perftui.cache.config import CacheConfig
from perftui.cache.invalidation import Invalidation
from perftui.cache.manager import CacheManager
from perftui.sources.redis.connection import connect
from perftui.sources.redis.target import RedisTarget

TARGET = 0.05


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


async def rounds_of(
    server: RedisProcess, pipes: list[Connection], keys: int, rounds: int, single: bool, where: Path
) -> tuple[list[float], list[float]]:
    """Return the delays of each process, and those of the slowest of each round."""
    delays: list[float] = []
    slowest: list[float] = []
    target = RedisTarget.parse(server.url)
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
                with connect(target, 5.0) as client:
                    run = Invalidation(
                        client, "app:user:*", audit_as="benchmark", keep=True, journals=where
                    )
                    result = await asyncio.to_thread(run.run)
                assert result.deleted == keys, result
            seen = [pipe.recv() - began for pipe in pipes]
            delays += seen
            slowest.append(max(seen))
    return delays, slowest


def emptied(
    server: RedisProcess, processes: int, rounds: int, keys: int, single: bool
) -> list[Verdict]:
    """Begin the processes and measure."""
    context = multiprocessing.get_context("spawn")
    pipes, members = [], []
    for _ in range(processes):
        here, there = context.Pipe()
        process = context.Process(target=run_member, args=(server.url, keys, there), daemon=True)
        process.start()
        pipes.append(here)
        members.append(process)
    try:
        for pipe in pipes:
            assert pipe.recv() == "ready"
        with tempfile.TemporaryDirectory() as where:
            delays, slowest = asyncio.run(
                rounds_of(server, pipes, keys, rounds, single, Path(where))
            )
    finally:
        for pipe in pipes:
            pipe.send("end")
        for process in members:
            process.join(3)
            process.kill()
    what = "DEL of 1 key by redis-cli" if single else f"user:*, {keys} keys, by the pane"
    high = quantile(slowest, 0.99)
    return [
        Verdict(f"{what}: each of {processes} processes, {rounds} rounds", line(delays)),
        Verdict(
            f"{what}: the last of {processes}",
            line(slowest),
            "" if single else "p99 <= 50 ms",
            None if single else high <= TARGET,
        ),
    ]


def line(values: list[float]) -> str:
    return (
        f"p50 {statistics.median(values) * 1e3:.1f} p99 {quantile(values, 0.99) * 1e3:.1f} "
        f"max {max(values) * 1e3:.1f} ms"
    )


async def costs(server: RedisProcess) -> list[Verdict]:
    """Measure look-ups and writes of one task, one after another."""
    found = []
    async with CacheManager(CacheConfig(url=server.url, prefix="app:"), metrics=False) as manager:
        await manager.set_cached("k", {"id": 1, "name": "a name", "tags": ["a", "b"]})
        await asyncio.sleep(0.02)
        await manager.get_cached("k")
        for name, count, work in (
            ("memory hit, awaited", 50_000, lambda n: manager.get_cached("k")),
            ("Redis miss", 2_000, lambda n: manager.get_cached(f"n{n}")),
            ("set_cached", 2_000, lambda n: manager.set_cached(f"s{n}", n)),
            ("get_or_load that loads", 2_000, lambda n: manager.get_or_load(f"l{n}", lambda: 1)),
        ):
            began = time.perf_counter()
            for n in range(count):
                await work(n)
            seconds = (time.perf_counter() - began) / count
            found.append(Verdict(name, f"{seconds * 1e6:.2f} us, {1 / seconds:,.0f} /s"))
    return found


def run(binary: str, processes: int, rounds: int, keys: int) -> list[Verdict]:
    """Measure what look-ups cost, then how soon all processes know."""
    server = RedisProcess(binary)
    try:
        return [
            *asyncio.run(costs(server)),
            *emptied(server, processes, rounds, keys, single=False),
            *emptied(server, processes, max(20, rounds // 4), 1, single=True),
        ]
    finally:
        server.close()
