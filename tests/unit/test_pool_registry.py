"""A pool of servers in a real Redis: turns, silence, decisions, overload, outages."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
import redis.asyncio
from redis_fixture import RedisProcess

from perftui.pool.eligibility import EligibilityRules
from perftui.pool.errors import PoolRefusedError, PoolUnavailableError, UnknownServerError
from perftui.pool.keys import POOLS_KEY, pool_key
from perftui.pool.registry import Counts, PoolRegistry

RAW = EligibilityRules(smoothing=0.0)
CONTRACT = (
    "id address state cpu_usage memory_usage requests_per_second overloaded reason picks last_seen"
)


@pytest.fixture
async def pool(redis_server: RedisProcess) -> AsyncIterator[PoolRegistry]:
    async with PoolRegistry(redis_server.url, "web", rules=RAW) as registry:
        yield registry


async def fill(registry: PoolRegistry, count: int) -> list[str]:
    names = [f"s{number}" for number in range(count)]
    for name in names:
        await registry.register(name, f"10.0.0.1:{name}")
    return names


async def views(registry: PoolRegistry) -> dict[str, dict[str, Any]]:
    return {view["id"]: view for view in await registry.servers()}


def age(server: RedisProcess, name: str, seconds: float) -> None:
    """Let a server have been silent for so long."""
    for part in ("seen", "live"):
        server.client.zincrby(pool_key("web", part), -seconds, name)


def pick_many(url: str, count: int, results: Any) -> None:
    async def work() -> Counter[str | None]:
        async with PoolRegistry(url, "web", timeout=5.0) as registry:
            return Counter([await registry.pick() for _ in range(count)])

    results.put(asyncio.run(work()))


async def test_four_processes_pick_exactly_in_turn(
    pool: PoolRegistry, redis_server: RedisProcess
) -> None:
    names = await fill(pool, 7)
    stop = asyncio.Event()

    async def beat() -> None:
        while not stop.is_set():
            await asyncio.gather(*(pool.heartbeat(name, 1.0, 1.0, 1.0) for name in names))
            await asyncio.sleep(0.5)

    beating = asyncio.create_task(beat())
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    workers = [
        context.Process(target=pick_many, args=(redis_server.url, 5000, results)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    total: Counter[str | None] = Counter()
    for _ in workers:
        total += await asyncio.to_thread(results.get, True, 120)
    for worker in workers:
        worker.join()
    stop.set()
    await beating
    assert sum(total.values()) == 20_000
    assert set(total) == set(names)
    assert set(total.values()) == {2857, 2858}
    assert {name: view["picks"] for name, view in (await views(pool)).items()} == dict(total)


async def test_the_keys_of_the_contract_and_those_beside(pool: PoolRegistry) -> None:
    await pool.register("a", "10.0.0.1:1", weight=3)
    await pool.heartbeat("a", 12.5, 40.0, 99.0, 7, p95=0.25, error_percent=1.5)
    (view,) = await pool.servers()
    assert list(view)[:10] == CONTRACT.split()
    assert view["state"] == "ready"
    assert (view["cpu_usage"], view["memory_usage"], view["requests_per_second"]) == (12.5, 40, 99)
    assert (view["in_flight"], view["p95"], view["error_percent"]) == (7, 0.25, 1.5)
    assert (view["weight"], view["own_weight"]) == (3, 3)
    assert (view["eligible"], view["reason"]) == (True, "")
    assert 0 <= view["last_seen"] < 3
    await pool.heartbeat("a", None, None, None)
    (view,) = await pool.servers()
    assert (view["cpu_usage"], view["overloaded"], view["in_flight"]) == (None, False, 7)


async def test_decisions_hold_at_once_for_many_and_are_told(pool: PoolRegistry) -> None:
    await fill(pool, 3)
    assert await pool.set_state(["s0", "s1"], "drain", "new version", "ann@host") == {
        "s0": "ready",
        "s1": "ready",
    }
    assert {await pool.pick() for _ in range(6)} == {"s2"}
    assert await pool.heartbeat("s0", 1.0, 1.0, 1.0) == "drain"
    assert await pool.register("s0", "10.0.0.1:9") == "drain"
    assert (await views(pool))["s0"]["reason"] == "new version"
    assert (await views(pool))["s0"]["by"] == "ann@host"
    event = (await pool.events(server="s0"))[0]
    assert (event["kind"], event["by"], event["reason"]) == ("drain", "ann@host", "new version")
    with pytest.raises(UnknownServerError, match="nobody"):
        await pool.set_state(["s2", "nobody"], "maint", "disk")
    assert (await views(pool))["s2"]["state"] == "ready"
    await pool.set_state(["s0", "s1"], "ready", "done")
    assert Counter([await pool.pick() for _ in range(6)]) == {"s0": 2, "s1": 2, "s2": 2}
    with pytest.raises(ValueError, match="'off'"):
        await pool.set_state("s0", "off", "")


async def test_weights_survive_the_server_and_zero_takes_the_picks(pool: PoolRegistry) -> None:
    await fill(pool, 2)
    await pool.set_weight("s0", 0, "slow")
    assert {await pool.pick() for _ in range(4)} == {"s1"}
    await pool.register("s0", "10.0.0.1:0", weight=5)
    assert {await pool.pick() for _ in range(4)} == {"s1"}
    view = (await views(pool))["s0"]
    assert (view["weight"], view["own_weight"], view["reason"]) == (0, 5, "weight 0")
    await pool.set_weight("s0", None)
    assert (await views(pool))["s0"]["weight"] == 5
    assert {await pool.pick() for _ in range(4)} == {"s0", "s1"}


async def test_a_silent_server_is_out_and_no_pick_fails_twice(
    pool: PoolRegistry, redis_server: RedisProcess
) -> None:
    await fill(pool, 3)
    failed = await pool.pick()
    assert failed is not None
    for _ in range(6):
        assert await pool.pick(exclude=[failed]) not in (failed, None)
    age(redis_server, "s1", 3.1)
    assert {await pool.pick() for _ in range(6)} == {"s0", "s2"}
    view = (await views(pool))["s1"]
    assert (view["state"], view["reason"], view["eligible"]) == (
        "stale",
        "no heartbeat for 3 s",
        False,
    )
    assert [event["kind"] for event in await pool.events(server="s1")] == ["stale", "join"]
    await pool.heartbeat("s1", 1.0, 1.0, 1.0)
    assert {await pool.pick() for _ in range(6)} == {"s0", "s1", "s2"}
    for name in ("s0", "s1", "s2"):
        age(redis_server, name, 40)
    assert await pool.pick() is None
    assert {view["state"] for view in await pool.servers()} == {"down"}


async def test_forgotten_after_an_hour_but_not_what_was_decided(
    pool: PoolRegistry, redis_server: RedisProcess
) -> None:
    await fill(pool, 2)
    await pool.set_state("s1", "maint", "disk")
    age(redis_server, "s1", 3601)
    await pool.heartbeat("s0", 1.0, 1.0, 1.0)
    assert list(await views(pool)) == ["s0"]
    assert not redis_server.client.hexists(pool_key("web", "meta"), "s1")
    assert await pool.register("s1", "10.0.0.1:1") == "maint"
    assert await pool.deregister("s1")
    assert not await pool.deregister("s1")


async def test_overload_is_strict_and_the_way_back_is_longer(pool: PoolRegistry) -> None:
    await fill(pool, 3)
    seen = []
    for cpu in (80.0, 81.0, 75.0, 72.5, 71.0):
        await pool.heartbeat("s0", cpu, 90.0, 1000.0)
        await pool.heartbeat("s0", cpu, 10.0, 10.0)
        seen.append((await views(pool))["s0"]["eligible"])
    assert seen == [True, False, False, False, True]
    kinds = [event["kind"] for event in await pool.events(server="s0")]
    assert kinds == ["recovered", "overload", "join"]
    await pool.heartbeat("s0", 10.0, 90.5, 1000.5)
    assert (await views(pool))["s0"]["reason"] == "memory 90.5 % > 90 %, requests 1000.5/s > 1000/s"


async def test_few_are_out_for_their_load_unless_the_rule_is_literal(pool: PoolRegistry) -> None:
    names = await fill(pool, 3)
    for name in names:
        await pool.heartbeat(name, 99.0, 1.0, 1.0)
    found = await views(pool)
    assert [found[name]["eligible"] for name in names] == [False, True, True]
    assert [found[name]["kept"] for name in names] == [False, True, True]
    assert all(found[name]["overloaded"] for name in names)
    await pool.set_limits(EligibilityRules(strict=True))
    for name in names:
        await pool.heartbeat(name, 99.0, 1.0, 1.0)
    assert await pool.pick() is None
    await pool.heartbeat("s1", 80.0, 90.0, 1000.0)
    assert await pool.pick() == "s1"


async def test_loads_are_smoothed(redis_server: RedisProcess) -> None:
    async with PoolRegistry(redis_server.url, "web") as registry:
        await fill(registry, 2)
        await registry.heartbeat("s0", 10.0, 1.0, 1.0)
        await registry.heartbeat("s0", 100.0, 1.0, 1.0)
        view = (await views(registry))["s0"]
    assert view["cpu_usage"] == 100.0
    assert 10.0 <= view["smoothed_cpu"] < 80.0
    assert view["eligible"]


async def test_requests_at_work_and_what_balancers_count(pool: PoolRegistry) -> None:
    await pool.register("a", "x:1")
    for _ in range(6):
        await pool.pick()
    await pool.release("a", 0.5)
    await pool.release("a", 1.5, ok=False)
    (view,) = await pool.servers()
    assert (view["in_flight"], view["done"], view["fails"], view["mean_seconds"]) == (4, 2, 1, 1.0)
    await pool.heartbeat("a", 1.0, 1.0, 1.0, in_flight=1)
    await pool.counts({"a": Counts(10, -5, 8, 2, 8.0), "gone": Counts(5, 5, 5, 5, 5.0)})
    (view,) = await pool.servers()
    assert (view["in_flight"], view["picks"], view["done"], view["fails"]) == (0, 16, 10, 3)


async def test_a_flushed_or_new_redis_knows_all_again(
    pool: PoolRegistry, redis_server: RedisProcess
) -> None:
    await fill(pool, 2)
    redis_server.client.script_flush()
    assert await pool.pick() is not None
    redis_server.client.flushall()
    assert await pool.pick() is None
    with pytest.raises(UnknownServerError, match="other"):
        await pool.heartbeat("other", 1.0, 1.0, 1.0)
    await pool.heartbeat("s0", 1.0, 1.0, 1.0)
    assert await pool.pick() == "s0"
    assert redis_server.client.smembers(POOLS_KEY) == {b"web"}
    redis_server.restart()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            await pool.heartbeat("s1", 1.0, 1.0, 1.0)
            break
        except PoolUnavailableError:
            await asyncio.sleep(0.05)
    assert await pool.pick() == "s1"


async def test_a_frozen_redis_costs_one_wait_and_then_nothing(
    pool: PoolRegistry, redis_server: RedisProcess
) -> None:
    await fill(pool, 1)
    redis_server.freeze()
    try:
        with pytest.raises(PoolUnavailableError):
            await pool.pick()
        assert not pool.available
        # Without asking: nothing is awaited that Redis would have to answer.
        with pytest.raises(PoolUnavailableError):
            pool.pick().send(None)
    finally:
        redis_server.thaw()
    deadline = time.monotonic() + 20
    while not pool.available and time.monotonic() < deadline:
        try:
            await pool.heartbeat("s0", 1.0, 1.0, 1.0)
        except PoolUnavailableError:
            await asyncio.sleep(0.05)
    await pool.heartbeat("s0", 1.0, 1.0, 1.0)
    assert await pool.pick() == "s0"


async def test_a_user_without_rights_is_told(redis_server: RedisProcess) -> None:
    redis_server.client.execute_command(
        "ACL", "SETUSER", "few", "on", ">secret", "~perftui:pool*", "+ping", "+get"
    )
    url = f"unix://few:secret@{redis_server.socket}"
    async with PoolRegistry(url, "web") as registry:
        with pytest.raises(PoolRefusedError, match="permission"):
            await registry.register("a", "x:1")
        assert registry.available
    async with PoolRegistry(f"unix://few:wrong@{redis_server.socket}") as registry:
        with pytest.raises(PoolRefusedError) as caught:
            await registry.pick()
        assert "wrong" not in str(caught.value)


RIGHTS = (
    "evalsha eval ping sadd get set time hget hgetall hset hdel hmget hexists hincrby "
    "hincrbyfloat incr zadd zrem zcard zscore zrange zrevrange zrangebyscore xadd xrevrange"
)


async def test_the_rights_that_are_said_are_enough(redis_server: RedisProcess) -> None:
    redis_server.client.execute_command(
        "ACL", "SETUSER", "pool", "on", ">pw", "~perftui:pool*", *(f"+{x}" for x in RIGHTS.split())
    )
    async with PoolRegistry(f"unix://pool:pw@{redis_server.socket}", "web") as registry:
        await use_everything(registry)


async def use_everything(registry: PoolRegistry) -> None:
    await registry.register("a", "x:1")
    await registry.heartbeat("a", 1.0, 1.0, 1.0, 1)
    assert await registry.pick() == "a"
    await registry.release("a", 0.1)
    await registry.counts({"a": Counts(1, 1, 1, 1, 0.1)})
    await registry.set_state("a", "drain", "r")
    await registry.set_weight("a", 2, "r")
    assert (await registry.servers())[0]["state"] == "drain"
    await registry.publish_advice({"current": 2, "want": 3})
    advice = await registry.advice()
    assert advice is not None
    assert (advice["want"], 0 <= advice["age"] < 60) == (3, True)
    await registry.record_event("scale", "", "2 -> 3")
    assert (await registry.events(1))[0]["reason"] == "2 -> 3"
    await registry.set_limits(RAW)
    await registry.set_state("a", "ready", "r")
    assert await registry.deregister("a")


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
async def test_any_client_lends_its_settings(
    redis_server: RedisProcess, protocol: int, decode: bool
) -> None:
    options: dict[str, Any] = {"protocol": protocol, "decode_responses": decode}
    for kind in (redis.Redis, redis.asyncio.Redis):
        client = kind(unix_socket_path=redis_server.socket, **options)
        async with PoolRegistry(client, "web") as registry:
            await use_everything(registry)
    with pytest.raises(TypeError, match="int"):
        PoolRegistry(5)  # type: ignore[arg-type]


async def test_a_cluster(start_redis: Callable[..., RedisProcess], free_port: int) -> None:
    node = start_redis(port=str(free_port), cluster_enabled="yes", cluster_config_file="nodes")
    node.client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if b"cluster_state:ok" in node.client.execute_command("CLUSTER", "INFO"):
            break
        await asyncio.sleep(0.05)
    async with PoolRegistry(f"redis+cluster://127.0.0.1:{free_port}", "web", timeout=5) as registry:
        await use_everything(registry)
    client = redis.asyncio.RedisCluster("127.0.0.1", free_port)
    async with PoolRegistry(client, "web", timeout=5) as registry:
        await use_everything(registry)
    await client.aclose()


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # The bus of a cluster takes the port 10,000 above.
        port: int = listener.getsockname()[1]
    return port - 20_000 if port > 50_000 else port
