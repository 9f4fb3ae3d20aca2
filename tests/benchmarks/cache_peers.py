"""perftui's cache beside cashews with its memory tier on: the same Redis, keys and workload.

Run: PYTHONPATH=. python tests/benchmarks/cache.py --only peers
cashews is in the extra `bench`; its memory tier needs protocol=2 to hear of changes at all.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from redis_fixture import RedisProcess
from redis_groups import free_port
from verdict import Verdict, quantile

from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS

VALUE = {"id": 7, "name": "Ada", "roles": ["admin", "user"], "active": True}
TTL = 600
HOT = 50
PATIENCE = 2.0
GIVEN_UP = 5
"""Writes that are never told, after which no more are made."""


class Cache(Protocol):
    """What is measured of each library; a missing key is None."""

    async def open(self) -> None: ...
    async def get(self, key: str) -> Any: ...
    async def set(self, key: str, value: Any) -> None: ...
    async def close(self) -> None: ...


class Own:
    """perftui's CacheManager."""

    def __init__(self, url: str) -> None:
        config = CacheConfig(url=url, prefix="own:", settings={"max_size": 10_000})
        self._manager = CacheManager(config, metrics=False)

    async def open(self) -> None:
        await self._manager.__aenter__()

    async def get(self, key: str) -> Any:
        found = await self._manager.get_cached(key)
        return None if found is MISS else found

    async def set(self, key: str, value: Any) -> None:
        await self._manager.set_cached(key, value, TTL)

    async def close(self) -> None:
        await self._manager.close()


class Cashews:
    """cashews as its documentation sets up client-side caching; memory for 10,000 keys too."""

    def __init__(self, url: str) -> None:
        from cashews import Cache as PeerCache

        self._cache = PeerCache()
        self._cache.setup(url, client_side=True, client_side_prefix="peer:", protocol=2)

    async def open(self) -> None:
        await self._cache.init()

    async def get(self, key: str) -> Any:
        return await self._cache.get(key)

    async def set(self, key: str, value: Any) -> None:
        await self._cache.set(key, value, expire=TTL)

    async def close(self) -> None:
        await self._cache.close()


LIBRARIES: dict[str, Callable[[str], Cache]] = {"perftui": Own, "cashews": Cashews}


async def per_second(ask: Callable[[str], Awaitable[Any]], keys: list[str]) -> float:
    """Return how many keys are asked for in a second, one after another."""
    began = time.perf_counter()
    for key in keys:
        await ask(key)
    return len(keys) / (time.perf_counter() - began)


async def throughput(make: Callable[[], Cache], count: int) -> dict[str, float]:
    """Return questions a second: memory hits, keys that only Redis has, keys that nobody has."""
    writer, reader = make(), make()
    await writer.open()
    await reader.open()
    try:
        keys = [f"t:{number}" for number in range(count)]
        for key in keys:
            await writer.set(key, VALUE)
        await asyncio.sleep(0.1)
        from_redis = await per_second(reader.get, keys)
        await asyncio.sleep(0.1)
        await per_second(reader.get, keys)
        hits = max([await per_second(reader.get, keys) for _ in range(5)])
        assert await reader.get(keys[0]) == VALUE
        absent = await per_second(reader.get, [f"absent:{number}" for number in range(count)])
        writes = await per_second(lambda key: reader.set(key, VALUE), keys)
        return {"memory hit": hits, "Redis hit": from_redis, "miss": absent, "set": writes}
    finally:
        await writer.close()
        await reader.close()


async def delays(make: Callable[[], Cache], count: int) -> list[float]:
    """Return the seconds from the begin of each write to its value at another instance."""
    writer, reader = make(), make()
    await writer.open()
    await reader.open()
    found = []
    try:
        for number in range(count):
            # A key of its own: what is never told of one write would spoil those after it.
            await writer.set(f"d:{number}", "old")
            while await reader.get(f"d:{number}") != "old":
                await asyncio.sleep(0.001)
            await asyncio.sleep(random.uniform(0.001, 0.003))
            await reader.get(f"d:{number}")
            began = time.perf_counter()
            await writer.set(f"d:{number}", "new")
            while await reader.get(f"d:{number}") != "new":
                if time.perf_counter() - began > PATIENCE:
                    break
                await asyncio.sleep(0)
            found.append(time.perf_counter() - began)
            if sum(wait > PATIENCE for wait in found) > GIVEN_UP:
                break
    finally:
        await writer.close()
        await reader.close()
    return found


def write_for(library: str, url: str, seconds: float, turn: int) -> None:
    """Write hot keys at full speed in a process of its own, now and then many at once."""

    async def work() -> None:
        cache = LIBRARIES[library](url)
        await cache.open()
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            some = random.sample(range(HOT), random.choice((1, 1, 10)))
            await asyncio.gather(*(cache.set(f"s:{turn}:{key}", number) for key in some))
        await cache.close()

    asyncio.run(work())


async def stale(library: str, url: str, seconds: float, rounds: int) -> tuple[int, int, int]:
    """Return keys that stayed wrong after all writing had ended, keys looked at, and reads."""
    context = multiprocessing.get_context("spawn")
    wrong = looked_at = reads = 0
    reader = LIBRARIES[library](url)
    await reader.open()
    try:
        for turn in range(rounds):
            keys = [f"s:{turn}:{key}" for key in range(HOT)]
            process = context.Process(target=write_for, args=(library, url, seconds, turn))
            process.start()
            while process.is_alive():
                for _ in range(20):
                    some = random.choices(keys, k=4)
                    await asyncio.gather(*(reader.get(key) for key in some))
                    reads += 4
                await asyncio.sleep(0)
            await asyncio.sleep(0.5)
            fresh = LIBRARIES[library](url)
            await fresh.open()
            for key in keys:
                looked_at += 1
                wrong += await reader.get(key) != await fresh.get(key)
            await fresh.close()
    finally:
        await reader.close()
    return wrong, looked_at, reads


def run(binary: str, quick: bool) -> list[Verdict]:
    """Measure both, in turns, and say how many times what the one does the other does."""
    try:
        import cashews  # noqa: F401
    except ImportError:
        return [Verdict("beside cashews", "not installed: pip install cashews")]
    count, writes, rounds = (1000, 100, 2) if quick else (5000, 1000, 6)
    speeds: dict[str, dict[str, float]] = {}
    waits: dict[str, list[float]] = {}
    lies: dict[str, tuple[int, int, int]] = {}
    port = free_port()
    server = RedisProcess(binary, port=str(port), bind="127.0.0.1")
    url = f"redis://127.0.0.1:{port}/0"
    try:
        for name, make in LIBRARIES.items():
            server.client.flushall()
            speeds[name] = asyncio.run(throughput(functools.partial(make, url), count))
            waits[name] = asyncio.run(delays(functools.partial(make, url), writes))
            lies[name] = asyncio.run(stale(name, url, 1.0, rounds))
    finally:
        server.close()
    found = []
    own, peer = speeds["perftui"], speeds["cashews"]
    for what, speed in own.items():
        ratio = speed / peer[what]
        found.append(
            Verdict(
                f"{what}, perftui : cashews",
                f"{ratio:.2f} x  ({speed:,.0f} : {peer[what]:,.0f} /s)",
            )
        )
    for name in LIBRARIES:
        each = waits[name]
        lost = sum(wait > PATIENCE for wait in each)
        found.append(
            Verdict(
                f"{name}: time to invalidate, {len(each)} writes",
                f"p50 {statistics.median(each) * 1e3:.2f} p99 {quantile(each, 0.99) * 1e3:.2f} ms",
                f"{lost} never within {PATIENCE:g} s" if lost else "",
            )
        )
    median = statistics.median(waits["perftui"]) / statistics.median(waits["cashews"])
    high = quantile(waits["perftui"], 0.99) / quantile(waits["cashews"], 0.99)
    found.append(
        Verdict("time to invalidate, perftui : cashews", f"p50 {median:.2f} x, p99 {high:.2f} x")
    )
    for name, (wrong, looked_at, reads) in lies.items():
        found.append(
            Verdict(
                f"{name}: stale for good after quiescence",
                f"{wrong} of {looked_at} keys, {reads:,} reads",
                "0" if name == "perftui" else "",
                wrong == 0 if name == "perftui" else None,
            )
        )
    return found
