"""What the pools source makes of a pool that registry and heartbeats have written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.pool.eligibility import EligibilityRules
from perftui.pool.keys import pool_key
from perftui.pool.registry import PoolRegistry
from perftui.snapshot import Absent, Pool, PoolServer, State
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError

RAW = EligibilityRules(smoothing=0.0)
STRICT = EligibilityRules(strict=True)
SHARED = (
    "id",
    "address",
    "state",
    "cpu_usage",
    "memory_usage",
    "requests_per_second",
    "overloaded",
    "reason",
)


def sample(redis_server: RedisProcess) -> dict[str, Pool]:
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    pools = {pool.name: pool for pool in source.sample()}
    source.close()
    return pools


def by_id(pool: Pool) -> dict[str, PoolServer]:
    return {server.id: server for server in pool.servers}


async def filled(redis_server: RedisProcess, rules: EligibilityRules, *cpu: float) -> PoolRegistry:
    registry = PoolRegistry(redis_server.url, "web", rules=rules, timeout=5.0)
    for number, load in enumerate(cpu):
        await registry.register(f"s{number}", f"10.0.0.{number}:80")
        await registry.heartbeat(f"s{number}", load, 10.0, 5.0, 1, p95=0.2, error_percent=1.5)
    return registry


LOADS = st.none() | st.floats(0.0, 200.0)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    servers=st.lists(
        st.tuples(
            LOADS,
            LOADS,
            LOADS,
            st.sampled_from(["ready", "drain", "maint"]),
            st.integers(0, 3),
            st.sampled_from([0.0, 10.0, 50.0, 500.0, 4000.0]),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_it_sees_what_the_registry_sees(
    redis_server: RedisProcess, servers: list[tuple[Any, ...]]
) -> None:
    redis_server.client.flushall()

    async def write() -> list[dict[str, Any]]:
        async with PoolRegistry(redis_server.url, "web", rules=RAW, timeout=5.0) as registry:
            for number, (cpu, memory, rate, state, weight, _, leaving) in enumerate(servers):
                name = f"s{number}"
                await registry.register(name, f"10.0.0.1:{number}", weight)
                if state != "ready":
                    await registry.set_state(name, state, "planned", by="ana")
                await registry.heartbeat(name, cpu, memory, rate, leaving=leaving)
                await registry.pick()
            for number, each in enumerate(servers):
                for part in ("seen", "live"):
                    redis_server.client.zincrby(pool_key("web", part), -each[5], f"s{number}")
            return await registry.servers()

    expected = {view["id"]: view for view in asyncio.run(write())}
    pools = sample(redis_server)
    found = by_id(pools["web"]) if servers else {}
    assert found.keys() == expected.keys()
    for name, server in found.items():
        view = expected[name]
        for field in SHARED:
            value = getattr(server, field)
            if isinstance(value, Absent):
                # The load of a server that is down is of the past and not shown as of now.
                assert view[field] is None or server.state == "down"
            else:
                assert value == view[field], (name, field)
        assert (0 if isinstance(server.picks, Absent) else server.picks) == view["picks"]
        assert server.last_seen == pytest.approx(view["last_seen"], abs=5.0)
        assert (server.eligible, server.kept) == (view["eligible"], view["kept"])
    if servers:
        assert pools["web"].eligible == sum(view["eligible"] for view in expected.values())


async def test_all_that_a_heartbeat_and_an_operator_tell(redis_server: RedisProcess) -> None:
    registry = await filled(redis_server, RAW, 10.0, 20.0)
    await registry.set_state("s1", "drain", "new version", by="ana@ops")
    await registry.set_weight("s0", 3)
    await registry.publish_advice(
        {"current": 2, "want": 3, "reason": "busy", "metric": "cpu", "value": 71.0,
         "threshold": 60.0, "held_by": "", "policy": "target", "min_instances": 2,
         "max_instances": 5, "by": "box"}
    )  # fmt: skip
    await registry.set_limits(EligibilityRules(cpu_threshold=70.0))
    pool = sample(redis_server)["web"]
    first, second = pool.servers
    assert (first.response_p95, first.error_percent, first.weight) == (0.2, 1.5, 3)
    assert (first.eligible, first.picks_expected_percent) == (True, 100.0)
    assert first.detail == "slow start: 10 % of its weight"
    assert (second.decided, second.decided_by, second.eligible) == ("drain", "ana@ops", False)
    assert second.picks_expected_percent == 0.0
    assert not isinstance(pool.advice, Absent)
    assert (pool.advice.want, pool.advice.min_instances) == (3, 2)
    assert 0 <= pool.advice.age < 60
    assert not isinstance(pool.thresholds, Absent)
    assert pool.thresholds.cpu == 70.0
    assert [event.kind for event in pool.events] == ["weight", "drain", "join", "join"]
    assert pool.events[1].reason == "new version"
    await registry.aclose()


async def test_picks_are_counted_between_two_readings(redis_server: RedisProcess) -> None:
    registry = await filled(redis_server, RAW, 10.0, 20.0)
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    (before,) = source.sample()
    assert isinstance(before.picks_per_second, Absent)
    for _ in range(6):
        await registry.pick()
    (after,) = source.sample()
    assert [server.picks_percent for server in after.servers] == [50.0, 50.0]
    assert not isinstance(after.picks_per_second, Absent)
    assert after.picks_per_second > 0
    await registry.deregister("s0")
    await registry.register("s0", "10.0.0.9:80")
    await registry.pick()
    (anew,) = source.sample()
    rates = [server.picks_per_second for server in anew.servers]
    assert all(not isinstance(rate, Absent) and rate >= 0 for rate in rates)
    source.rested()
    (rested,) = source.sample()
    assert isinstance(rested.picks_per_second, Absent)
    source.close()
    await registry.aclose()


async def test_events_are_read_once_and_none_is_missed(redis_server: RedisProcess) -> None:
    registry = await filled(redis_server, RAW, 10.0)
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    source.sample()
    for count in (3, 0, 120):
        for number in range(count):
            await registry.record_event("note", "", f"{count} {number}", by="t")
        (pool,) = source.sample()
        newest = [event["reason"] for event in await registry.events(50)]
        assert [event.reason for event in pool.events] == newest
    redis_server.client.delete(pool_key("web", "events"))
    assert source.sample()[0].events == ()
    source.close()
    await registry.aclose()


@pytest.mark.parametrize(("rules", "panic", "eligible"), [(RAW, True, 2), (STRICT, False, 0)])
async def test_all_above_a_threshold(
    redis_server: RedisProcess, rules: EligibilityRules, panic: bool, eligible: int
) -> None:
    registry = await filled(redis_server, rules, 95.0, 96.0, 97.0)
    await registry.set_limits(rules)
    pool = sample(redis_server)["web"]
    assert all(server.overloaded for server in pool.servers)
    assert (pool.panic, pool.eligible) == (panic, eligible)
    assert sum(server.kept for server in pool.servers) == eligible
    await registry.aclose()


async def test_a_balancer_in_panic_is_believed_for_half_a_minute(
    redis_server: RedisProcess,
) -> None:
    registry = await filled(redis_server, RAW, 10.0, 20.0)
    assert sample(redis_server)["web"].panic is False
    await registry.tell_panic("b1", True, "servers fail")
    assert sample(redis_server)["web"].panic is True
    redis_server.client.zincrby(pool_key("web", "panics"), -40, "b1")
    assert sample(redis_server)["web"].panic is False
    await registry.aclose()


@pytest.mark.parametrize("part", ["meta", "load", "status", "seen", "ok", "panics", "advice",
                                  "limits",
                                  "picks", "events"])  # fmt: skip
async def test_a_key_of_the_wrong_type_is_named_and_spares_other_pools(
    redis_server: RedisProcess, part: str
) -> None:
    registry = await filled(redis_server, RAW, 10.0)
    key = pool_key("bad", part)
    redis_server.client.sadd("perftui:pools", "bad")
    redis_server.client.sadd(key, "x")
    pools = sample(redis_server)
    assert pools["web"].eligible == 1
    bad = pools["bad"]
    told = [bad.eligible, bad.panic, bad.picks_per_second, bad.advice, bad.thresholds]
    said = [value for value in told if isinstance(value, Absent)]
    if part == "events":
        assert [event.kind for event in bad.events] == ["unreadable"]
        assert key in bad.events[0].reason
    else:
        assert any(key in each.reason and f"DEL '{key}'" in each.fix for each in said)
    await registry.aclose()


async def test_a_user_without_rights_is_told_which_to_give(redis_server: RedisProcess) -> None:
    registry = await filled(redis_server, RAW, 10.0)
    client = redis_server.client
    client.execute_command(
        "ACL", "SETUSER", "viewer", "on", ">pw", "+@all", "~perftui:pools", "~perftui:pool:{web}*"
    )
    client.sadd("perftui:pools", "other")
    source = PoolsSource(
        RedisTarget.parse(redis_server.url.replace("unix://", "unix://viewer:pw@"))
    )
    pools = {pool.name: pool for pool in source.sample()}
    assert pools["web"].eligible == 1
    denied = pools["other"].eligible
    assert isinstance(denied, Absent)
    assert denied.state is State.DENIED
    assert "~perftui:" in denied.fix
    client.execute_command("ACL", "SETUSER", "viewer", "resetkeys", "~perftui:pools")
    with pytest.raises(SourceError, match="does not allow user viewer"):
        source.sample()
    source.close()
    client.execute_command("ACL", "DELUSER", "viewer")
    await registry.aclose()
