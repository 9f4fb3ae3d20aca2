"""One process that reads and writes hot keys through a CacheManager and checks what it reads.

Each key has one writer, which notes in a file shared by all when which version was written. A value
that is read is stale by the time since the next version was written.

Arguments: URL, socket of the server without a proxy, shared file, number of this worker, workers,
seconds, seconds of quiet before the last look, seed. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import random
import sys
import time
from pathlib import Path

import redis.asyncio

from perftui.cache.codecs import decode, encode
from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS

KEYS = 50
RING = 8192
"""Versions of a key whose time is remembered."""
PREFIX = "hot:"
TTL = 120


class Ledger:
    """When each version of each key was written, for all processes; times are monotonic."""

    SIZE = KEYS * (RING + 2) * 8

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.SIZE)
        view = memoryview(self._map)
        self._times = view[: KEYS * RING * 8].cast("d")
        self._acked = view[KEYS * RING * 8 : KEYS * (RING + 1) * 8].cast("Q")
        self._made = view[KEYS * (RING + 1) * 8 :].cast("Q")

    def next(self, key: int) -> int:
        """Make a new version, as a database would before the cache is told."""
        self._made[key] += 1
        return self._made[key]

    def newest(self, key: int) -> int:
        """Return the newest version of the database."""
        return self._made[key]

    def written(self, key: int, version: int) -> None:
        """Note that Redis has a version now."""
        # A version that never arrived was overtaken by this one at the same moment.
        now = time.monotonic()
        for each in range(self._acked[key] + 1, version + 1):
            self._times[key * RING + each % RING] = now
        self._acked[key] = version

    def staleness(self, key: int, version: int, asked: float) -> float:
        """Return for how many seconds there had been a newer version when it was asked for."""
        newest = self._acked[key]
        if newest <= version:
            return 0.0
        if newest - version >= RING // 2:
            return float("inf")
        return max(0.0, asked - self._times[key * RING + (version + 1) % RING])


class Worker:
    def __init__(self, ledger: Ledger, manager: CacheManager, direct: redis.asyncio.Redis) -> None:
        self.ledger = ledger
        self.manager = manager
        self.direct = direct
        self.reads = self.misses = self.loads = self.writes = self.invalidations = 0
        self.worst = 0.0
        self.late: list[float] = []

    async def read(self, until: float) -> None:
        while time.monotonic() < until:
            for _ in range(20):
                key = random.randrange(KEYS)
                asked = time.monotonic()
                if random.random() < 0.05:
                    value = await self.manager.get_or_load(
                        f"k{key}", lambda key=key: self.ledger.newest(key), TTL
                    )
                    self.loads += 1
                else:
                    value = await self.manager.get_cached(f"k{key}")
                self.reads += 1
                if value is MISS:
                    self.misses += 1
                    continue
                stale = self.ledger.staleness(key, int(value), asked)
                if stale > self.worst:
                    self.worst = stale
                if stale > 0.05:
                    self.late.append(stale)
            await asyncio.sleep(0)

    async def write(self, until: float, number: int, workers: int) -> None:
        own = range(number, KEYS, workers)
        while time.monotonic() < until:
            key = random.choice(own)
            version = self.ledger.next(key)
            self.writes += 1
            if random.random() >= 0.5 or not await self.manager.set_cached(f"k{key}", version, TTL):
                # Somebody writes who knows nothing of tracking, leases and memory tiers.
                await self.direct.set(f"{PREFIX}k{key}", encode(version), ex=TTL)
            self.ledger.written(key, version)
            await asyncio.sleep(random.random() * 0.004)

    async def invalidate(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(random.random() * 0.3)
            self.invalidations += 1
            if random.random() < 0.3:
                await self.manager.invalidate(f"k{random.randrange(5)}*")
            else:
                await self.manager.invalidate(f"k{random.randrange(KEYS)}")


async def main() -> None:
    url, socket, shared, number, workers, seconds, quiet, seed = sys.argv[1:]
    random.seed(int(seed) * 100 + int(number))
    ledger = Ledger(shared)
    direct = redis.asyncio.Redis(unix_socket_path=socket, protocol=2)
    manager = CacheManager(CacheConfig(url=url, prefix=PREFIX), metrics=False)
    async with manager:
        worker = Worker(ledger, manager, direct)
        until = time.monotonic() + float(seconds)
        await asyncio.gather(
            *(worker.read(until) for _ in range(4)),
            worker.write(until, int(number), int(workers)),
            worker.invalidate(until),
        )
        await asyncio.sleep(float(quiet))
        different = []
        for key in range(KEYS):
            stored = await direct.get(f"{PREFIX}k{key}")
            seen = await manager.get_cached(f"k{key}")
            again = await manager.get_cached(f"k{key}")
            wanted = MISS if stored is None else decode(stored).value
            if seen != wanted or again != wanted:
                different.append([key, str(seen), str(again), str(wanted)])
        total = manager.counters.total()
        print(
            json.dumps(
                {
                    "reads": worker.reads,
                    "misses": worker.misses,
                    "writes": worker.writes,
                    "invalidations": worker.invalidations,
                    "memory_hits": total.memory_hits,
                    "redis_errors": total.redis_errors,
                    "bypasses": total.bypasses,
                    "loads": total.loads,
                    "worst": worker.worst,
                    "late": len(worker.late),
                    "lost": manager.coherence.lost,
                    "state": manager.coherence.state.value,
                    "different": different,
                }
            )
        )
    await direct.aclose()


if __name__ == "__main__":
    asyncio.run(main())
