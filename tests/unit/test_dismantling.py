"""Very large keys go in small steps where there is no UNLINK, and nobody sees a half."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis_fixture import RedisProcess

from perftui.cache.conversation import Conversation
from perftui.cache.dismantling import LARGE, large_keys
from perftui.cache.invalidation import Invalidation

FILLERS: dict[str, Callable[[redis.Redis, str], object]] = {
    "hash": lambda client, key: client.hset(key, mapping={f"field{n}": n for n in range(30_000)}),
    "set": lambda client, key: client.sadd(key, *(f"member{n}" for n in range(30_000))),
    "zset": lambda client, key: client.zadd(key, {f"member{n}": n for n in range(30_000)}),
    "list": lambda client, key: client.rpush(key, *(f"{n:060}" for n in range(30_000))),
    "stream": lambda client, key: client.eval(
        "for n = 1, 30000 do redis.call('XADD', KEYS[1], '*', 'field', string.rep(n, 12)) end",
        1,
        key,
    ),
}


@pytest.mark.parametrize("kind", FILLERS)
def test_a_large_key_goes_in_small_steps(
    start_redis: Callable[..., RedisProcess], kind: str
) -> None:
    server = start_redis(rename_command='UNLINK ""')
    client = server.client
    FILLERS[kind](client, "app:large")
    client.mset({"app:string": "x" * 3_000_000, "app:small": 1, "other": 1})
    with Conversation(client, threading.Event()) as talk:
        assert large_keys(talk, [b"app:large", b"app:string", b"app:small"]) == [b"app:large"]
    client.config_resetstat()
    result = Invalidation(client, "app:*").run()
    assert (result.deleted, result.matched, result.error, result.complete) == (3, 3, "", True)
    assert client.keys() == [b"other"]
    calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    assert calls["cmdstat_rename"] == 1
    shrunk = {
        "hash": "hdel",
        "set": "spop",
        "zset": "zremrangebyrank",
        "list": "ltrim",
        "stream": "xtrim",
    }[kind]
    assert calls[f"cmdstat_{shrunk}"] >= (30_000 // 500 - 1 if kind != "hash" else 20)
    assert LARGE == 1_000_000


def test_it_does_so_when_the_other_keys_are_kept(
    start_redis: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = start_redis(rename_command='UNLINK ""')
    FILLERS["hash"](server.client, "app:large")
    server.client.mset({"app:string": "x" * 3_000_000, "app:small": 1, "other": 1})
    result = Invalidation(server.client, "app:*", keep=True, journals=tmp_path).run()
    assert (result.deleted, result.error) == (3, "")
    assert result.kept is not None
    assert (result.kept.keys, result.kept.too_large) == (1, 2)
    assert server.client.keys() == [b"other"]
    assert server.client.info("commandstats")["cmdstat_hdel"]["calls"] >= 20
