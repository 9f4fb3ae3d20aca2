"""Pools of servers read back from a real Redis."""

from __future__ import annotations

import msgspec
import pytest
from redis_fixture import RedisProcess

from perftui.pool.keys import POOLS_KEY, ServerAdmin, ServerLoad, ServerMeta, pool_key
from perftui.snapshot import Absent, PoolServer, State
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError


class Writer:
    """Writes a pool as the servers and balancers do."""

    def __init__(self, server: RedisProcess, pool: str = "web") -> None:
        self.client, self.pool = server.client, pool
        self.client.sadd(POOLS_KEY, pool)

    def server(
        self,
        name: str,
        load: ServerLoad | bytes | None = None,
        age: float | None = 0.0,
        admin: ServerAdmin | None = None,
        eligible: bool = True,
    ) -> None:
        def put(part: str, value: msgspec.Struct | bytes) -> None:
            encoded = value if isinstance(value, bytes) else msgspec.json.encode(value)
            self.client.hset(pool_key(self.pool, part), name, encoded)

        seconds, micros = self.client.time()
        now = int(seconds) + int(micros) / 1e6
        put("meta", ServerMeta(f"10.0.0.1:{name}", 3, now - 10))
        if load is not None:
            put("load", load)
        if admin is not None:
            put("admin", admin)
        if age is not None:
            self.client.zadd(pool_key(self.pool, "seen"), {name: now - age})
        if eligible:
            self.client.zadd(pool_key(self.pool, "ok"), {name: 1})


def _servers(redis_server: RedisProcess) -> dict[str, PoolServer]:
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    (pool,) = source.sample()
    source.close()
    return {server.id: server for server in pool.servers}


def test_no_pools_is_an_empty_reading(redis_server: RedisProcess) -> None:
    assert PoolsSource(RedisTarget.parse(redis_server.url)).sample() == ()


def test_reads_a_ready_server(redis_server: RedisProcess) -> None:
    writer = Writer(redis_server)
    writer.server("a", ServerLoad(12.5, 40.0, 99.0, 7))
    redis_server.client.hset(pool_key("web", "inflight"), "a", 3)
    redis_server.client.hset(pool_key("web", "picks"), "a", 1234)
    server = _servers(redis_server)["a"]
    assert (server.address, server.weight, server.state, server.reason) == (
        "10.0.0.1:a",
        3,
        "ready",
        "",
    )
    assert (server.cpu_usage, server.memory_usage, server.requests_per_second) == (12.5, 40.0, 99.0)
    assert (server.in_flight, server.picks) == (3, 1234)
    assert 0 <= server.last_seen < 1
    assert not server.overloaded


def test_overload_is_strictly_above_the_threshold(redis_server: RedisProcess) -> None:
    writer = Writer(redis_server)
    writer.server("at", ServerLoad(80.0, 90.0, 1000.0, 0))
    writer.server("cpu", ServerLoad(91.0, 90.0, 1000.0, 0))
    writer.server("two", ServerLoad(80.0, 90.5, 1000.5, 0))
    servers = _servers(redis_server)
    assert not servers["at"].overloaded
    assert servers["at"].reason == ""
    assert servers["cpu"].overloaded
    assert servers["cpu"].reason == "cpu 91 % > 80 %; picked, since enough servers are out"
    assert servers["two"].reason.startswith("memory 90.5 % > 90 %, requests 1000.5/s > 1000/s")
    source = PoolsSource(RedisTarget.parse(redis_server.url), cpu_threshold=95.0)
    assert [server.overloaded for server in source.sample()[0].servers] == [False, False, True]
    source.close()


def test_silence(redis_server: RedisProcess) -> None:
    writer = Writer(redis_server)
    load = ServerLoad(99.0, 1.0, 1.0, 5)
    writer.server("fresh", load, age=2.0)
    writer.server("stale", load, age=12.0)
    writer.server("down", load, age=45.0)
    writer.server("long", load, age=600.0)
    writer.server("gone", load, age=3700.0)
    servers = _servers(redis_server)
    assert sorted(servers) == ["down", "fresh", "long", "stale"]
    assert servers["fresh"].state == "ready"
    assert (servers["stale"].state, servers["stale"].reason) == ("stale", "no heartbeat for 12 s")
    assert servers["stale"].cpu_usage == 99.0
    assert not servers["stale"].overloaded
    assert (servers["down"].state, servers["down"].reason) == ("down", "no heartbeat for 45 s")
    assert servers["down"].cpu_usage == Absent(State.STALE, "no heartbeat for 45 s")
    assert servers["long"].reason == "no heartbeat for 10 min"


def test_what_an_operator_decided(redis_server: RedisProcess) -> None:
    writer = Writer(redis_server)
    load = ServerLoad(95.0, 1.0, 1.0, 5)
    writer.server("d", load, admin=ServerAdmin("drain", "new version", 1.0), eligible=False)
    writer.server("m", load, age=99.0, admin=ServerAdmin("maint", "disk", 1.0), eligible=False)
    writer.server("r", load, admin=ServerAdmin("ready", "", 1.0))
    writer.server("x", load, age=99.0, admin=ServerAdmin("drain", "", 1.0), eligible=False)
    writer.server("w", ServerLoad(1.0, 1.0, 1.0, 0), eligible=False)
    servers = _servers(redis_server)
    assert (servers["d"].state, servers["d"].reason) == ("drain", "new version; cpu 95 % > 80 %")
    assert (servers["m"].state, servers["m"].reason) == ("maint", "disk")
    assert not servers["m"].overloaded
    assert (servers["r"].state, servers["r"].overloaded) == ("ready", True)
    assert (servers["x"].state, servers["x"].reason) == (
        "down",
        "no heartbeat for 99 s; draining",
    )
    assert (servers["w"].state, servers["w"].reason) == ("ready", "not among the eligible servers")


def test_hostile_names_and_broken_values(redis_server: RedisProcess) -> None:
    name = b"\xff\x1b[2Jweb}{"
    pool = name.decode("utf-8", "surrogateescape")
    redis_server.client.sadd(POOLS_KEY, name)
    meta = pool_key(pool, "meta").encode("utf-8", "surrogateescape")
    redis_server.client.hset(meta, b"\xfe", b"not json")
    redis_server.client.hset(meta.replace(b":meta", b":load"), b"\xfe", b'{"cpu_usage": "high"}')
    redis_server.client.hset(meta.replace(b":meta", b":picks"), b"\xfe", b"many")
    redis_server.client.zadd(meta.replace(b":meta", b":seen"), {b"\xfe": 9e12})
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    (found,) = source.sample()
    source.close()
    assert found.name.encode("utf-8", "surrogateescape") == name
    (server,) = found.servers
    assert server.id == "\udcfe"
    assert isinstance(server.cpu_usage, Absent)
    assert "cannot be read" in server.cpu_usage.reason
    assert isinstance(server.picks, Absent)
    assert server.last_seen == 0.0


def test_a_key_of_the_wrong_type_is_an_error_and_no_crash(redis_server: RedisProcess) -> None:
    redis_server.client.set(POOLS_KEY, "text")
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    with pytest.raises(SourceError, match="WRONGTYPE"):
        source.sample()
    source.close()


def test_counts_its_own_lookups(redis_server: RedisProcess) -> None:
    target = RedisTarget.parse(redis_server.url)
    hits, misses = own_lookups(target).counts
    Writer(redis_server).server("a", ServerLoad(1.0, 1.0, 1.0, 0))
    redis_server.client.config_resetstat()
    source = PoolsSource(target)
    source.sample()
    source.close()
    info = redis_server.client.info("stats")
    now_hits, now_misses = own_lookups(target).counts
    assert info["keyspace_hits"] == now_hits - hits == 5
    assert info["keyspace_misses"] == now_misses - misses == 8


def test_a_thousand_servers(redis_server: RedisProcess) -> None:
    names = [f"s{number:04}" for number in range(1000)]
    client = redis_server.client
    client.sadd(POOLS_KEY, "big")
    load = msgspec.json.encode(ServerLoad(1.0, 2.0, 3.0, 4))
    meta = msgspec.json.encode(ServerMeta("10.0.0.1:80", 1, 1.0))
    client.hset(pool_key("big", "load"), mapping=dict.fromkeys(names, load))
    client.hset(pool_key("big", "meta"), mapping=dict.fromkeys(names, meta))
    now = int(client.time()[0])
    client.zadd(pool_key("big", "seen"), dict.fromkeys(names, now))
    client.zadd(pool_key("big", "ok"), dict.fromkeys(names, 1))
    servers = _servers(redis_server)
    assert sorted(servers) == names
    assert {server.state for server in servers.values()} == {"ready"}
