"""Values of 100 MB and hashes of a million fields, met by the library and by the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis_fixture import RedisProcess

from perftui.cache.codecs import encode
from perftui.cache.config import CacheConfig
from perftui.cache.invalidation import Invalidation
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS
from perftui.cache.undo import Undo
from perftui.cache.undo_journal import journals

HUGE = 100_000_000
FIELDS = 1_000_000
PART = 50_000
FILL = """
for first = ARGV[1], ARGV[2], 100 do
  local pairs = {}
  for n = first, first + 99 do
    pairs[#pairs + 1] = 'field' .. n
    pairs[#pairs + 1] = 'value'
  end
  redis.call('HSET', KEYS[1], unpack(pairs))
end
"""


def cache(server: RedisProcess, **options: Any) -> CacheManager:
    return CacheManager(CacheConfig(url=server.url, prefix="app:", **options), metrics=False)


def fill_hash(client: redis.Redis, key: str) -> None:
    # A script that runs for five seconds, as on a busy machine, refuses everybody else.
    for first in range(1, FIELDS, PART):
        client.eval(FILL, 1, key, first, first + PART - 1)
    assert client.hlen(key) == FIELDS


def calls(client: redis.Redis, verb: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{verb}", {}).get("calls", 0))


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_a_value_that_takes_too_long_to_send_is_no_dead_redis(
    redis_server: RedisProcess,
) -> None:
    async with cache(redis_server, timeout=0.1) as manager:
        redis_server.client.set("app:huge", encode("old"))
        # The first question makes the connection, which takes its time on a busy machine.
        await manager.get_cached("huge")
        await until(lambda: manager.redis_answers)
        written = await manager.set_cached("huge", b"x" * HUGE)
        assert manager.redis_answers
        if written:
            assert redis_server.client.strlen("app:huge") > HUGE
        else:
            # What may be old is not left behind.
            await until(lambda: not redis_server.client.exists("app:huge"))
            assert await manager.get_cached("huge") is MISS
        # It displaces nothing from memory.
        assert manager.memory.bytes < 1_000_000


async def test_a_huge_value_is_read_and_not_kept_in_memory(redis_server: RedisProcess) -> None:
    async with cache(redis_server, timeout=20.0) as manager:
        redis_server.client.set("app:huge", encode(b"x" * HUGE))
        assert len(await manager.get_cached("huge")) == HUGE
        assert manager.memory.bytes < 1_000_000
        assert manager.redis_answers
        assert await manager.delete("huge")


async def test_a_hash_of_a_million_fields_is_no_value_and_stays(
    redis_server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async with cache(redis_server) as manager:
        fill_hash(redis_server.client, "app:hash")
        assert await manager.get_cached("hash") is MISS
        assert await manager.get_or_load("hash", lambda: 5) == 5
        assert "WRONGTYPE" in caplog.text
        assert manager.redis_answers
        assert redis_server.client.hlen("app:hash") == FIELDS
        # Freed by a thread of the server, while it serves others.
        assert await manager.delete("hash")
        assert (calls(redis_server.client, "unlink"), calls(redis_server.client, "del")) == (1, 0)


def test_the_engine_deletes_what_is_huge_and_keeps_what_is_not(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    client = redis_server.client
    client.set("app:huge", b"x" * HUGE)
    fill_hash(client, "app:hash")
    client.set("app:small", b"kept")
    client.config_resetstat()
    result = Invalidation(client, "app:*", keep=True, journals=tmp_path).run()
    assert (result.deleted, result.complete, result.error) == (3, True, "")
    assert result.kept is not None
    assert (result.kept.keys, result.kept.too_large) == (1, 2)
    # Reading a million fields for the journal would stop the server for a second: one is to find
    # out whether it may, one is of the small key.
    assert calls(client, "dump") == 2
    assert calls(client, "del") == 0
    (journal,) = journals(tmp_path)
    assert Undo(client, journal).run().restored == 1
    assert client.keys() == [b"app:small"]
    assert client.get("app:small") == b"kept"
