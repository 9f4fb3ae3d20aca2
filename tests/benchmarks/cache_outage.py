"""What a dead, a frozen and an unreachable Redis cost a caller, and how soon it is used again.

Run: PYTHONPATH=. python tests/benchmarks/cache.py --only outage
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from redis_fixture import RedisProcess
from tcp_proxy import TcpProxy
from verdict import Verdict, quantile

from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager

FIRST = 0.3
LATER = 100e-6
CALLS = 2000
PATIENCE = 60.0


async def outage(
    what: str, url: str, begin: Callable[[], None], end: Callable[[], None]
) -> list[Verdict]:
    """Measure one kind of outage on a warm cache, from the first call after it began."""
    async with CacheManager(CacheConfig(url=url, prefix="app:"), metrics=False) as manager:
        await manager.set_cached("k", 1)
        for _ in range(20):
            await manager.get_cached("other")
        begin()
        try:
            started = time.perf_counter()
            await manager.get_cached("another")
            first = time.perf_counter() - started
            # A dead server is known to be dead; nothing else may have been in the way.
            later = []
            for number in range(CALLS):
                started = time.perf_counter()
                await manager.get_cached(f"later:{number}")
                later.append(time.perf_counter() - started)
        finally:
            end()
        started = time.perf_counter()
        while not (manager.redis_answers and manager.coherence.state.value == "live"):
            await manager.get_cached("k")
            await asyncio.sleep(0.001)
            if time.perf_counter() - started > PATIENCE:
                return [Verdict(f"{what}: used again", "never", "by itself", False)]
        back = time.perf_counter() - started
    median = statistics.median(later)
    return [
        Verdict(f"{what}: first call", f"{first * 1e3:.1f} ms", "<= 300 ms", first <= FIRST),
        Verdict(
            f"{what}: later calls",
            f"p50 {median * 1e6:.1f} us, p99 {quantile(later, 0.99) * 1e6:.1f} us",
            "< 100 us",
            median < LATER,
        ),
        Verdict(f"{what}: used again after", f"{back:.2f} s", "by itself", True),
    ]


def run(binary: str) -> list[Verdict]:
    """Measure all kinds of outage."""
    found: list[Verdict] = []
    server = RedisProcess(binary)
    proxy = TcpProxy(server.socket)
    try:
        found += asyncio.run(outage("dead", server.url, server.kill, server.start))
        found += asyncio.run(outage("frozen", server.url, server.freeze, server.thaw))
        found += asyncio.run(outage("black-holed", proxy.url, proxy.freeze, proxy.thaw))
    finally:
        proxy.close()
        server.close()
    return found
