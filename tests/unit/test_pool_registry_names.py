"""Names and values of a pool that are refused or odd, and what others wrote into its keys."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis_fixture import RedisProcess

from perftui.pool.keys import pool_key
from perftui.pool.registry import PoolRegistry


@pytest.fixture
async def pool(redis_server: RedisProcess) -> AsyncIterator[PoolRegistry]:
    async with PoolRegistry(redis_server.url, "web") as registry:
        yield registry


async def views(registry: PoolRegistry) -> dict[str, dict[str, Any]]:
    return {view["id"]: view for view in await registry.servers()}


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "\udc80", b"raw", None, "a\x1b[2J"])
def test_names_that_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="pool name"):
        PoolRegistry("unix:///nowhere", name)


async def test_ids_that_are_refused_and_odd_ones_that_are_not(pool: PoolRegistry) -> None:
    with pytest.raises(ValueError, match="brace"):
        PoolRegistry("unix:///nowhere", "a}b")
    with pytest.raises(ValueError, match="server id"):
        await pool.register("\x00", "x:1")
    with pytest.raises(ValueError, match="weight is -1"):
        await pool.register("a", "x:1", -1)
    with pytest.raises(ValueError, match="cpu_usage is nan"):
        await pool.heartbeat("a", float("nan"), 1.0, 1.0)
    for odd in ('"quote" \\ [bold] {x} 名', "%s %d", "x" * 200):
        await pool.register(odd, "x:1")
        await pool.set_state(odd, "drain", odd)
        view = (await views(pool))[odd]
        assert (view["state"], view["reason"]) == ("drain", odd)


async def test_what_others_wrote_into_the_keys_is_survived(
    pool: PoolRegistry, redis_server: RedisProcess
) -> None:
    await pool.register("a", "x:1")
    for part in ("load", "status", "admin", "inflight", "picks", "seconds"):
        redis_server.client.hset(pool_key("web", part), "a", b"\xff{broken")
    redis_server.client.zadd(pool_key("web", "seen"), {b"\xff\xfe": time.time()})
    redis_server.client.zadd(pool_key("web", "ok"), {b"\xff\xff": 0})
    assert {view["id"] for view in await pool.servers()} == {"a", "\udcff\udcfe"}
    await pool.heartbeat("a", 1.0, 1.0, 1.0, 3)
    assert (await views(pool))["a"]["in_flight"] == 3
