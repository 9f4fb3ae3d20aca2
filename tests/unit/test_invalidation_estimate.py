"""The estimate of what a pattern would delete, against what it does delete."""

from __future__ import annotations

import pytest
import redis
from redis_fixture import RedisProcess

from perftui.cache.invalidation import estimate


def test_a_small_database_is_counted_exactly(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.mset({f"app:{n}": 1 for n in range(300)} | {"b": 1, "perftui:audit": 1, "perftui:x": 1})
    found = estimate(client, "*")
    assert (found.matched, found.protected, found.exact) == (301, 2, True)
    assert (found.scanned, found.dbsize) == (303, 303)
    assert len(found.samples) == 20
    assert len(set(found.samples)) == 20
    assert not any(key.startswith(b"perftui:") for key in found.samples)
    assert estimate(client, "perftui:*").matched == 2
    assert estimate(client, "nothing*").samples == ()


def test_a_large_database_is_estimated(redis_server: RedisProcess) -> None:
    client = redis_server.client
    for start in range(0, 100_000, 10_000):
        client.mset({f"{'app' if n % 4 else 'other'}:{n}": 1 for n in range(start, start + 10_000)})
    found = estimate(client, b"app:*")
    assert not found.exact
    assert found.dbsize == 100_000
    assert 10_000 <= found.scanned < 12_000
    assert found.matched == pytest.approx(75_000, rel=0.05)
    assert found.seconds < 5


def test_an_empty_database(redis_server: RedisProcess) -> None:
    found = estimate(redis_server.client, "*")
    assert (found.matched, found.scanned, found.exact) == (0, 0, True)


def test_one_key(redis_server: RedisProcess) -> None:
    redis_server.client.mset({b"a*": 1, b"perftui:audit": 1})
    found = estimate(redis_server.client, b"a\\*")
    assert (found.matched, found.exact, found.samples) == (1, True, (b"a*",))
    assert estimate(redis_server.client, b"a").matched == 0
    assert estimate(redis_server.client, b"perftui:audit").matched == 1
    protected = estimate(redis_server.client, b"perftu\\i:audit")
    assert (protected.matched, protected.protected) == (0, 1)


def test_looks_up_nothing(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"app:{n}": 1 for n in range(1000)})
    redis_server.client.config_resetstat()
    estimate(redis_server.client, "app:1*")
    estimate(redis_server.client, "app:1")
    estimate(redis_server.client, "gone")
    info = redis_server.client.info("stats")
    assert (info["keyspace_hits"], info["keyspace_misses"]) == (0, 0)


def test_says_when_it_cannot(redis_server: RedisProcess) -> None:
    with pytest.raises(ValueError, match="empty pattern"):
        estimate(redis_server.client, b"")
    redis_server.client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "+dbsize")
    client = redis.Redis(
        unix_socket_path=redis_server.socket, username="ann", password="pw", protocol=2
    )
    with pytest.raises(redis.ResponseError, match="'scan'"):
        estimate(client, "app:*")
    client.close()
