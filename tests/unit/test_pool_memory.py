"""What the pools source keeps of large pools, and when it reads it anew."""

from __future__ import annotations

import pytest
from redis_fixture import RedisProcess

from perftui.pool.registry import Counts, PoolRegistry
from perftui.snapshot import Pool
from perftui.sources import pool_memory
from perftui.sources.pool_memory import KEEP, KEPT, LARGE, PoolMemory
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.target import RedisTarget


async def filled(redis_server: RedisProcess, count: int) -> PoolRegistry:
    registry = PoolRegistry(redis_server.url, "web", timeout=5.0)
    for number in range(count):
        await registry.register(f"s{number}", f"10.0.0.1:{number}")
    return registry


def calls(redis_server: RedisProcess) -> int:
    found: dict[str, dict[str, int]] = redis_server.client.info("commandstats")
    return found.get("cmdstat_hgetall", {"calls": 0})["calls"]


async def test_a_large_pool_is_read_in_part_and_a_new_server_at_once(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await filled(redis_server, LARGE)
    monkeypatch.setattr(pool_memory, "KEEP", 3600.0)
    source = PoolsSource(RedisTarget.parse(redis_server.url))

    def read() -> tuple[Pool, int]:
        before = calls(redis_server)
        (pool,) = source.sample()
        return pool, calls(redis_server) - before

    first, asked = read()
    second, later = read()
    assert later == asked - len(KEPT)
    assert [server.address for server in first.servers] == [s.address for s in second.servers]
    await registry.register("new", "10.0.0.2:80")
    await registry.counts({"new": Counts(picks=3)})
    third, _ = read()
    found = {server.id: server for server in third.servers}
    assert len(found) == LARGE + 1
    assert (found["new"].address, found["new"].picks) == ("10.0.0.2:80", 3)
    await registry.deregister("new")
    assert len(read()[0].servers) == LARGE
    # What is kept is not for ever.
    await registry.counts({"s0": Counts(picks=7)})
    monkeypatch.setattr(pool_memory, "KEEP", 0.0)
    pools = [read()[0] for _ in range(2)]
    assert next(server.picks for server in pools[-1].servers if server.id == "s0") == 7
    source.close()
    await registry.aclose()


async def test_a_small_pool_is_read_in_full(redis_server: RedisProcess) -> None:
    registry = await filled(redis_server, 2)
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    source.sample()
    await registry.counts({"s0": Counts(picks=7)})
    assert source.sample()[0].servers[0].picks == 7
    source.close()
    await registry.aclose()


def test_what_is_old_is_read_one_at_a_time() -> None:
    memory = PoolMemory()
    parts = ("meta", "load", "picks", "seen")
    seen = [b"%d" % number for number in range(2 * LARGE)]

    def read(now: float) -> set[str]:
        wanted = memory.wanted(parts, now)
        memory.completed({part: seen if part == "seen" else [] for part in wanted}, now)
        return set(wanted) & set(KEPT)

    assert read(0.0) == {"meta", "picks"}
    assert read(1.0) == set()
    assert read(KEEP) == {"picks"}
    assert read(KEEP + 1) == {"meta"}
    assert read(KEEP + 2) == set()
    assert read(2 * KEEP) == {"picks"}
    memory.forget_picks()
    assert "picks" in read(2 * KEEP + 0.5)
