"""`perftui pool` against a real Redis and a real HAProxy: reading, changing, refusing, waiting."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from haproxy_fixture import Haproxy
from redis_fixture import RedisProcess

from perftui.pool.eligibility import EligibilityRules
from perftui.pool.keys import pool_key
from perftui.pool.registry import PoolRegistry

CONTRACT = (
    "id address state cpu_usage memory_usage requests_per_second overloaded reason picks last_seen"
)


def fill(url: str, pool: str = "web", count: int = 3, cpu: float = 41.0) -> None:
    async def work() -> None:
        rules = EligibilityRules(smoothing=0.0)
        async with PoolRegistry(url, pool, rules=rules, timeout=5.0) as registry:
            for number in range(count):
                await registry.register(f"s{number}", f"10.0.0.1:800{number}")
                await registry.heartbeat(f"s{number}", cpu, 30.0, 12.0)

    asyncio.run(work())


def perftui(*words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perftui", *words],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def state_of(url: str, server: str, pool: str = "web") -> dict[str, Any]:
    async def work() -> dict[str, Any]:
        async with PoolRegistry(url, pool, timeout=5.0) as registry:
            return {each["id"]: each for each in await registry.servers()}[server]

    return asyncio.run(work())


def test_ls_and_show(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    fill(redis_server.url, "batch", 1)
    listed = perftui("pool", "ls", "--redis", redis_server.url)
    assert listed.returncode == 0, listed.stderr
    head, *lines = listed.stdout.splitlines()
    assert head.split() == ["POOL", "ORIGIN", "ELIGIBLE", "STATES", "PICKS/S", "ADVICE"]
    assert [line.split()[:3] for line in lines] == [
        ["batch", "redis", "1/1"],
        ["web", "redis", "3/3"],
    ]
    shown = perftui("pool", "show", "web", "--redis", redis_server.url)
    assert [line.split()[:4] for line in shown.stdout.splitlines()[1:]] == [
        [f"s{number}", "ready", "1", "41.0"] for number in range(3)
    ]


@pytest.mark.parametrize("words", [("pool", "show", "web", "--json"), ("pool", "--json")])
def test_json_has_the_keys_of_the_contract(
    redis_server: RedisProcess, words: tuple[str, ...]
) -> None:
    fill(redis_server.url)
    shown = perftui(*words, "--redis", redis_server.url)
    told = json.loads(shown.stdout)
    (pool,) = told["pools"]
    assert [server["id"] for server in pool["servers"]] == ["s0", "s1", "s2"]
    for server in pool["servers"]:
        assert set(CONTRACT.split()) <= set(server)
        assert server["cpu_usage"] == 41.0
        assert server["queue"] is None
    assert "pools.0.servers.0.queue" in told["states"]


def test_drain_with_a_reason_is_done_forecast_and_recorded(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    words = ("pool", "drain", "web", "s1", "--yes", "--reason", "disk swap")
    done = perftui(*words, "--redis", redis_server.url)
    assert (done.returncode, done.stdout) == (0, "s1: draining\n"), done.stderr
    assert "leaves 2 of 3 servers eligible, now 3" in done.stderr
    assert state_of(redis_server.url, "s1")["state"] == "drain"
    events = perftui("pool", "events", "web", "--json", "--redis", redis_server.url)
    last = json.loads(events.stdout.splitlines()[-1])
    assert (last["kind"], last["server"], last["reason"]) == ("drain", "s1", "disk swap")
    assert "@" in last["by"]
    back = perftui("pool", "ready", "web", "s1", "--yes", "--redis", redis_server.url)
    assert (back.returncode, back.stdout) == (0, "s1: ready\n")
    assert state_of(redis_server.url, "s1")["state"] == "ready"


def test_nothing_is_changed_without_being_asked(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    refused = perftui("pool", "drain", "web", "s1", "--redis", redis_server.url)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert state_of(redis_server.url, "s1")["state"] == "ready"


def test_the_last_server_needs_force(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    words = ("pool", "maint", "web", "--all", "--yes", "--redis", redis_server.url)
    refused = perftui(*words)
    assert refused.returncode == 1
    assert "no server is left to take requests" in refused.stderr
    assert "--force" in refused.stderr
    assert state_of(redis_server.url, "s0")["state"] == "ready"
    assert perftui(*words, "--force").returncode == 0
    assert state_of(redis_server.url, "s0")["state"] == "maint"


@pytest.mark.parametrize(("weight", "want"), [("5", 5), ("+3", 4), ("0", 0), ("-9", 0), ("own", 1)])
def test_weights(redis_server: RedisProcess, weight: str, want: int) -> None:
    fill(redis_server.url)
    words = ("pool", "weight", "--yes", "--redis", redis_server.url, "--", "web", "s0", weight)
    done = perftui(*words)
    assert done.returncode == 0, done.stderr
    assert state_of(redis_server.url, "s0")["weight"] == want


def test_what_does_not_exist_is_named_with_what_does(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    pool = perftui("pool", "show", "wep", "--redis", redis_server.url)
    assert pool.returncode == 1
    assert "'wep'" in pool.stderr
    assert "there are web" in pool.stderr
    server = perftui("pool", "drain", "web", "s9", "--yes", "--redis", redis_server.url)
    assert server.returncode == 1
    assert "no server 's9'" in server.stderr
    assert "it has s0, s1, s2" in server.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ls", "web"), "does not belong here"),
        (("drain", "web"), "say which"),
        (("drain",), "say which"),
        (("weight", "web", "s0"), "say which"),
        (("weight", "web", "s0", "many"), "must be a number"),
        (("weight", "web", "s0", "9999999"), "it must be 0 to"),
        (("drain", "web", "s0", "--wait", "x"), "--wait"),
    ],
)
def test_wrong_words(redis_server: RedisProcess, words: tuple[str, ...], told: str) -> None:
    fill(redis_server.url)
    refused = perftui("pool", *words, "--redis", redis_server.url)
    assert refused.returncode == 2, refused.stderr
    assert told in refused.stderr


def test_without_a_verb_a_word_is_a_pool(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    told = perftui("pool", "web", "--redis", redis_server.url).stdout
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["s0", "s1", "s2"]
    refused = perftui("pool", "drian", "web", "--redis", redis_server.url)
    assert refused.returncode == 1
    assert "there is no pool 'drian'" in refused.stderr


def test_no_redis_and_no_haproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    refused = perftui("pool", "ls")
    assert refused.returncode == 2
    assert "--haproxy SOCKET" in refused.stderr


def test_a_dead_redis_is_told_without_its_password() -> None:
    refused = perftui("pool", "ls", "--redis", "redis://:hush@127.0.0.1:1/0")
    assert refused.returncode == 1
    assert "hush" not in refused.stderr
    assert "127.0.0.1:1" in refused.stderr


def test_wait_ends_when_the_last_request_is_done(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    redis_server.client.hset(pool_key("web", "inflight"), "s1", 2)
    words = ("pool", "drain", "web", "s1", "--yes", "--redis", redis_server.url, "--wait")
    late = perftui(*words, "0.5")
    assert late.returncode == 3
    assert "not drained within 0.5 s: s1 2 at work" in late.stderr
    redis_server.client.hset(pool_key("web", "inflight"), "s1", 0)
    assert "drained" in perftui(*words, "30").stderr


def test_hostile_names_do_no_harm(redis_server: RedisProcess) -> None:
    fill(redis_server.url)
    name = "\x1b[31m[/x]\n"
    redis_server.client.hset(
        pool_key("web", "meta"), name, '{"address": "\\u001b[2J", "weight": 1, "started": 1}'
    )
    redis_server.client.zadd(pool_key("web", "seen"), {name: 2e9})
    for words in (("show", "web"), ("ls",), ("events",)):
        shown = perftui("pool", *words, "--redis", redis_server.url)
        assert "\x1b" not in shown.stdout


def test_haproxy_is_changed_and_its_refusal_told_word_for_word(haproxy: Haproxy) -> None:
    done = perftui("pool", "drain", "api", "a", "--yes", "--haproxy", haproxy.socket())
    assert (done.returncode, done.stdout) == (0, "a: draining\n"), done.stderr
    shown = perftui("pool", "show", "api", "--json", "--haproxy", haproxy.socket())
    states = {each["id"]: each["state"] for each in json.loads(shown.stdout)["pools"][0]["servers"]}
    assert states["a"] == "drain"
    weight = ("pool", "weight", "--yes", "--haproxy", haproxy.socket(), "--", "api", "b", "-50")
    assert perftui(*weight).stdout == "b: weight 50\n"
    operator = haproxy.socket("operator")
    refused = perftui("pool", "ready", "api", "a", "--yes", "--haproxy", operator)
    assert refused.returncode == 1
    assert refused.stdout == "a: not changed: Permission denied\n"
    assert "has level operator and will refuse" in refused.stderr
