"""A cache whose Redis dies, hangs, comes back with other data, or loses its connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis_fixture import RedisProcess
from tcp_proxy import TcpProxy

from perftui.cache.codecs import encode
from perftui.cache.coherence import CoherenceState
from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS

LONG = 1.5
"""Seconds: more than a slow machine needs for 0.3, less than a client's usual 5 and retries."""


def cache(url: str, **options: Any) -> CacheManager:
    return CacheManager(CacheConfig(url=url, prefix="app:", **options), metrics=False)


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


async def warm(manager: CacheManager, *keys: str) -> None:
    """Bring keys that Redis has into memory."""
    await until(lambda: manager.coherence.state is CoherenceState.LIVE)
    for key in keys:
        for _ in range(200):
            await manager.get_cached(key)
            if manager._tiers.memory.tier._find(b"app:" + key.encode()) is not None:
                break
            await asyncio.sleep(0.005)


async def test_a_redis_that_comes_back_with_other_data(redis_server: RedisProcess) -> None:
    async with cache(redis_server.url) as manager:
        await manager.set_cached("k", "old")
        await warm(manager, "k")
        redis_server.kill()
        await until(lambda: manager.coherence.state is CoherenceState.LOST)
        assert await manager.get_cached("k") is MISS
        assert not await manager.set_cached("k2", 1)
        assert not (await manager.invalidate("k3")).complete
        assert not (await manager.invalidate("k*")).complete
        # A loader serves meanwhile, and nothing of it is kept.
        assert await manager.get_or_load("k", lambda: "loaded") == "loaded"
        assert await manager.get_or_load("k", lambda: "again") == "again"
        redis_server.start()
        redis_server.client.set("app:k", encode("new"))
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        await until(lambda: manager.redis_answers)
        assert await manager.get_cached("k") == "new"
        assert manager.coherence.lost == 1
        assert manager.counters.total().redis_errors > 0


async def test_a_lost_connection_is_made_again_and_memory_begins_empty(
    redis_server: RedisProcess,
) -> None:
    async with cache(redis_server.url) as manager:
        await manager.set_cached("k", "old")
        await warm(manager, "k")
        redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        redis_server.client.set("app:k", encode("new"))
        await until(lambda: manager.coherence.lost == 1)
        assert await manager.get_cached("k") == "new"
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        await warm(manager, "k")
        before = manager.coherence.changes
        redis_server.client.set("app:k", encode("newer"))
        await until(lambda: manager.coherence.changes > before)
        assert await manager.get_cached("k") == "newer"


async def test_a_dead_redis_at_the_start(redis_server: RedisProcess) -> None:
    redis_server.kill()
    async with cache(redis_server.url) as manager:
        assert manager.coherence.state is CoherenceState.LOST
        assert await manager.get_cached("k") is MISS
        redis_server.start()
        await until(lambda: manager.coherence.state is CoherenceState.LIVE)
        assert await manager.set_cached("k", 1)
        assert await manager.get_cached("k") == 1


async def test_what_could_not_be_deleted_is_deleted_when_redis_is_back(
    redis_server: RedisProcess,
) -> None:
    proxy = TcpProxy(redis_server.socket)
    try:
        async with cache(proxy.url) as manager:
            for key in ("written", "deleted", "kept"):
                await manager.set_cached(key, "old")
            proxy.freeze()
            assert not await manager.set_cached("written", "new")
            assert not (await manager.invalidate("deleted")).complete
            assert redis_server.client.exists("app:written", "app:deleted") == 2
            proxy.thaw()
            # Nobody asks for anything.
            await until(lambda: not redis_server.client.exists("app:written", "app:deleted"))
            assert redis_server.client.exists("app:kept")
            assert await manager.get_cached("written") is MISS
    finally:
        proxy.close()


async def test_a_network_that_swallows_everything(redis_server: RedisProcess) -> None:
    proxy = TcpProxy(redis_server.socket)
    try:
        async with cache(proxy.url) as manager:
            await manager.set_cached("k", "old")
            await warm(manager, "k")
            proxy.freeze()
            frozen = time.monotonic()
            redis_server.client.set("app:k", encode("new"))
            began = time.monotonic()
            assert await manager.get_cached("other") is MISS
            assert time.monotonic() - began < LONG
            assert not manager.redis_answers
            seen_old_at = frozen
            while time.monotonic() < frozen + 2.2:
                asked = time.monotonic()
                value = await manager.get_cached("k")
                assert value in ("old", MISS)
                if value == "old":
                    seen_old_at = asked
                await asyncio.sleep(0.002)
            # The proof that was given last holds for ping_interval + ping_limit.
            assert seen_old_at - frozen <= 1.5
            assert manager.coherence.state is CoherenceState.LOST
            assert manager.coherence.reason
            proxy.thaw()
            await until(lambda: manager.coherence.state is CoherenceState.LIVE)
            await until(lambda: manager.redis_answers)
            assert await manager.get_cached("k") == "new"
    finally:
        proxy.close()


@pytest.mark.parametrize("frozen", ["server", "network"])
async def test_recovery_without_a_tracking_connection(
    redis_server: RedisProcess, frozen: str
) -> None:
    proxy = TcpProxy(redis_server.socket)
    try:
        # Without memory there is only the pattern channel.
        options: dict[str, Any] = {"backends": {"memory": {"enabled": False}}}
        async with cache(proxy.url, breaker_first=0.2, **options) as manager:
            await manager.set_cached("k", 1)
            manager._tiers._links.stop()  # type: ignore[union-attr]
            (redis_server if frozen == "server" else proxy).freeze()
            assert await manager.get_cached("k") is MISS
            for _ in range(100):
                assert await manager.get_cached("k") is MISS
                await asyncio.sleep(0.001)
            (redis_server if frozen == "server" else proxy).thaw()
            end = time.monotonic() + 10
            while await manager.get_cached("k") is MISS:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
    finally:
        redis_server.thaw()
        proxy.close()


async def test_a_blocked_event_loop_is_not_a_dead_redis(redis_server: RedisProcess) -> None:
    async with cache(redis_server.url) as manager:
        # It has its connection to make, and whatever comes is seen after its time only.
        asked = asyncio.create_task(manager.get_cached("k"))
        await asyncio.sleep(0)
        time.sleep(0.6)
        await asked
        assert manager.counters.total().redis_errors == 1
        assert manager.redis_answers
        assert manager.coherence.state is CoherenceState.LIVE
        assert await manager.set_cached("k", 1)


async def test_more_questions_at_once_than_connections(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"app:k{n}": b"v" for n in range(1000)})
    async with cache(redis_server.url, timeout=5.0) as manager:
        await manager.get_cached("first")
        values = await asyncio.gather(*(manager.get_cached(f"k{n}") for n in range(1000)))
        assert values == [b"v"] * 1000
        assert manager.redis_answers
        assert len(redis_server.client.client_list(_type="normal")) <= 62


async def test_a_server_that_freezes_before_the_first_connection(
    redis_server: RedisProcess,
) -> None:
    async with cache(redis_server.url) as manager:
        redis_server.freeze()
        try:
            assert await manager.get_cached("k") is MISS
            # Its handshake timed out, which is as certain as an answer that does not come.
            assert not manager.redis_answers
        finally:
            redis_server.thaw()
