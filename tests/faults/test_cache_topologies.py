"""A cache on a real Redis Cluster while slots move, and behind a real Sentinel that fails over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot
from redis_fixture import RedisProcess, find_binary
from redis_groups import Cluster, Sentinel

from perftui.cache.codecs import encode
from perftui.cache.coherence import CoherenceState
from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS

Start = Callable[..., RedisProcess]


def cache(url: str) -> CacheManager:
    # Servers of a whole cluster may answer late on a busy machine; that is not what is looked at.
    return CacheManager(CacheConfig(url=url, prefix="app:", timeout=2.0), metrics=False)


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


async def becomes(manager: CacheManager, key: str, value: object, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while (seen := await manager.get_cached(key)) != value:
        assert time.monotonic() < end, f"{key} is still {seen!r}"
        await asyncio.sleep(0.01)


async def test_a_cluster_tells_of_changes_on_every_primary(start_redis: Start) -> None:
    cluster = Cluster(start_redis)
    keys = [f"user:{n}" for n in range(30)]
    async with cache(cluster.url) as manager, cache(cluster.url) as other:
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        await until(lambda: other.coherence.state is CoherenceState.LIVE)
        assert manager.coherence.links == 4
        for key in keys:
            assert await other.set_cached(key, key)
        for key in keys:
            await becomes(manager, key, key)
        await until(lambda: other.coherence.changes >= 30)
        for key in keys:
            await manager.get_cached(key)
        assert manager.memory.items == 30
        owners = {cluster.owner(f"app:{key}".encode()).pid for key in keys}
        assert len(owners) == 3
        for key in keys:
            cluster.owner(f"app:{key}".encode()).client.set(f"app:{key}", encode("new"))
        for key in keys:
            await becomes(manager, key, "new")
        assert await manager.get_or_load("loaded", lambda: 5) == 5
        await becomes(other, "loaded", 5)
        result = await other.invalidate("user:*")
        assert (result.deleted, result.complete) == (30, True)
        for key in keys:
            await becomes(manager, key, MISS)


async def test_many_first_questions_at_once_find_a_cluster(start_redis: Start) -> None:
    cluster = Cluster(start_redis)
    for _ in range(6):
        async with cache(cluster.url) as manager:
            asked = (manager.get_cached(f"k{n}") for n in range(14))
            assert await asyncio.gather(*asked) == [MISS] * 14
            assert manager.counters.total().redis_errors == 0


async def test_a_slot_that_moves_to_a_new_primary(start_redis: Start) -> None:
    cluster = Cluster(start_redis)
    key = b"app:moving"
    async with cache(cluster.url) as manager:
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        # On a busy machine a server may be silent for longer than the cache waits.
        while not await manager.set_cached("moving", "old"):
            await asyncio.sleep(0.1)
        await becomes(manager, "moving", "old")
        source = cluster.owner(key)
        target = cluster.add_server()
        cluster.move_slot(key_slot(key), source, target)
        target.client.set(key, encode("new"))
        await becomes(manager, "moving", "new")
        await until(lambda: manager.coherence.links == 5)
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        await manager.get_cached("moving")
        changes = manager.coherence.changes
        target.client.set(key, encode("newer"))
        await until(lambda: manager.coherence.changes > changes)
        await becomes(manager, "moving", "newer")
        assert await manager.set_cached("moving", "by the cache")
        await becomes(manager, "moving", "by the cache")


async def test_loads_on_every_primary_are_not_kept_behind_a_sweep(
    start_redis: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(start_redis)
    keys = [f"user:{n}" for n in range(12)] + ["user:{tag}:1", "user:}:2"]
    may_end = asyncio.Event()
    begun: list[str] = []

    async def load(key: str) -> str:
        begun.append(key)
        await may_end.wait()
        return "old"

    async with cache(cluster.url) as manager, cache(cluster.url) as other:
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        # Its listener has not come to the message yet.
        monkeypatch.setattr(manager._tiers.memory, "drop_matching", lambda glob: 0)
        loads = [
            asyncio.create_task(manager.get_or_load(key, lambda key=key: load(key))) for key in keys
        ]
        await until(lambda: len(begun) == len(keys))
        assert (await other.invalidate("user:*")).complete
        may_end.set()
        assert await asyncio.gather(*loads) == ["old"] * len(keys)
        for key in keys:
            name = f"app:{key}".encode()
            assert cluster.owner(name).client.get(name) is None
            assert await manager.get_or_load(key, lambda: "new") == "new"
            assert await other.get_cached(key) == "new"


async def test_a_primary_of_a_cluster_that_dies_closes_memory(start_redis: Start) -> None:
    cluster = Cluster(start_redis)
    async with cache(cluster.url) as manager:
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        cluster.servers[2].kill()
        await until(lambda: manager.coherence.state is CoherenceState.LOST)


async def test_sentinel_fails_over(start_redis: Start, tmp_path: Path) -> None:
    binary = find_binary()
    assert binary is not None
    sentinel = Sentinel(start_redis, binary, tmp_path)
    try:
        async with cache(sentinel.url) as manager:
            await until(lambda: manager.coherence.state is CoherenceState.LIVE)
            assert await manager.set_cached("k", "before")
            await becomes(manager, "k", "before")
            sentinel.fail_over()
            new = sentinel.servers[1].client
            end = time.monotonic() + 20
            while not await manager.set_cached("k", "after"):
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            while new.get("app:k") is None or b"after" not in new.get("app:k"):
                # The old primary took it, and forgot it when it became a replica.
                assert time.monotonic() < end
                await manager.set_cached("k", "after")
                await asyncio.sleep(0.05)
            await until(lambda: manager.coherence.state is CoherenceState.LIVE, 20)
            await becomes(manager, "k", "after")
            while True:
                new.set("app:k", encode("by somebody"))
                if await manager.get_cached("k") == "by somebody":
                    break
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            assert (await manager.invalidate("*")).complete
            assert not new.exists("app:k")
    finally:
        sentinel.close()


async def test_a_single_address_that_is_a_cluster_never_lies(start_redis: Start) -> None:
    cluster = Cluster(start_redis)
    async with cache(f"redis://127.0.0.1:{cluster.ports[0]}") as manager:
        seen = [await manager.set_cached(f"k{n}", n) for n in range(20)]
        assert True in seen
        assert False in seen
        for number, written in enumerate(seen):
            if written:
                await becomes(manager, f"k{number}", number)
            else:
                assert await manager.get_cached(f"k{number}") is MISS


def test_nothing_of_a_cluster_is_left_open(start_redis: Start) -> None:
    cluster = Cluster(start_redis)
    manager = cache(cluster.url)
    with manager.sync as here:
        here.set_cached("k", 1)
    end = time.monotonic() + 5
    for server in cluster.servers:
        client: redis.Redis = server.client
        while len(client.client_list(_type="normal")) + len(client.client_list(_type="pubsub")) > 1:
            assert time.monotonic() < end, client.client_list()
            time.sleep(0.02)
