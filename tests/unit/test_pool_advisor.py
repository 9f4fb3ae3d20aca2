"""Advice on a pool's size: one adviser at a time, another one follows, and who carries it out."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis_fixture import RedisProcess

from perftui.pool.advice_metrics import AdviceMetrics
from perftui.pool.advisor import ScalingAdvisor, readings
from perftui.pool.config import ScalingConfig
from perftui.pool.eligibility import EligibilityRules
from perftui.pool.executors import CommandExecutor, ExecutionError
from perftui.pool.registry import PoolRegistry
from perftui.pool.scaling import ScalingAdvice

RAW = EligibilityRules(smoothing=0.0)
GROW = ScalingAdvice(2, 3, "2 -> 3: cpu 95 % > 80 %", "cpu", 95.0, 80.0)


@pytest.fixture
async def pool(redis_server: RedisProcess) -> AsyncIterator[PoolRegistry]:
    async with PoolRegistry(redis_server.url, "web", rules=RAW, timeout=5.0) as registry:
        yield registry


async def beat(pool: PoolRegistry, cpu: float, count: int = 2) -> None:
    for number in range(count):
        await pool.register(f"s{number}", f"10.0.0.1:{number}")
        await pool.heartbeat(f"s{number}", cpu, 20.0, 10.0)


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)


async def scale_events(pool: PoolRegistry) -> list[str]:
    return [event["reason"] for event in await pool.events() if event["kind"] == "scale"]


async def test_advice_is_published_with_its_reason_and_recorded_once(pool: PoolRegistry) -> None:
    await beat(pool, 95.0)
    advisor = ScalingAdvisor(pool)
    first = await advisor.advise()
    await beat(pool, 95.0)
    await advisor.advise()
    told = await pool.advice()
    assert first is not None
    assert told is not None
    assert (told["current"], told["want"], told["metric"]) == (2, 3, "cpu")
    assert (told["min_instances"], told["max_instances"]) == (2, 10)
    assert told["policy"] == "combined"
    assert "95" in told["reason"]
    assert await scale_events(pool) == [first.reason]


async def test_a_change_of_what_is_wanted_is_recorded_again(pool: PoolRegistry) -> None:
    config = ScalingConfig(advice={"policy": "step"})
    advisor = ScalingAdvisor(pool, config)
    await beat(pool, 95.0)
    await advisor.advise()
    await beat(pool, 50.0)
    await advisor.advise()
    await beat(pool, 95.0)
    await advisor.advise()
    assert len(await scale_events(pool)) == 2


async def test_of_two_advisers_one_advises(pool: PoolRegistry) -> None:
    await beat(pool, 50.0)
    one, other = ScalingAdvisor(pool), ScalingAdvisor(pool)
    assert await one.advise() is not None
    assert await other.advise() is None
    assert (one.leads, other.leads) == (True, False)


async def test_an_adviser_that_stops_is_followed_at_once(pool: PoolRegistry) -> None:
    await beat(pool, 50.0)
    one, other = ScalingAdvisor(pool), ScalingAdvisor(pool)
    await one.advise()
    await one.stop()
    assert await other.advise() is not None


async def test_an_adviser_that_died_is_followed(pool: PoolRegistry) -> None:
    await beat(pool, 50.0)
    dead = ScalingAdvisor(pool, interval=0.1)
    await dead.advise()
    async with ScalingAdvisor(pool, interval=0.1) as heir:

        async def leads() -> bool:
            return heir.leads

        await until(leads)
    assert not heir.leads


async def test_a_follower_goes_on_from_the_last_advice(pool: PoolRegistry) -> None:
    """Growth that was advised a moment ago is not advised anew from the same load."""
    await beat(pool, 95.0)
    one = ScalingAdvisor(pool)
    await one.advise()
    await one.stop()
    await beat(pool, 95.0, count=3)
    advice = await ScalingAdvisor(pool).advise()
    assert advice is not None
    assert (advice.current, advice.want, advice.held_by) == (3, 3, "cooldown")
    assert len(await scale_events(pool)) == 1


async def test_one_who_lost_his_right_writes_nothing(pool: PoolRegistry) -> None:
    await beat(pool, 50.0)
    assert await pool.hold_advice("one", 60.0)
    assert not await pool.publish_advice({"current": 9, "want": 9}, holder="other")
    assert await pool.advice() is None


async def test_nothing_is_advised_without_data(pool: PoolRegistry) -> None:
    advice = await ScalingAdvisor(pool).advise()
    assert advice is not None
    assert not advice.acts
    assert advice.held_by == "data"
    for number in range(2):
        await pool.register(f"s{number}", "10.0.0.1:1")
        await pool.heartbeat(f"s{number}", None, None, None)
    advice = await ScalingAdvisor(pool, interval=1).advise()
    assert advice is None or not advice.acts


async def test_it_goes_on_when_redis_is_back(
    pool: PoolRegistry, redis_server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    await beat(pool, 50.0)
    async with ScalingAdvisor(pool, interval=0.05) as advisor:

        async def leads() -> bool:
            return advisor.leads

        async def waits() -> bool:
            return not advisor.leads

        await until(leads)
        redis_server.kill()
        await until(waits)
        redis_server.restart()
        await until(leads)
    assert sum("no advice on pool web" in record.message for record in caplog.records) == 1


def test_servers_that_take_no_requests_are_not_counted() -> None:
    def server(name: str, state: str, **more: Any) -> dict[str, Any]:
        load = {"cpu_usage": 50.0, "memory_usage": 10.0, "requests_per_second": 1.0}
        return {"id": name, "state": state, **load, **more}

    found = readings(
        [
            server("a", "ready", smoothed_cpu=40.0),
            server("b", "drain"),
            server("c", "maint"),
            server("d", "down"),
            server("e", "stale"),
            server("f", "ready", leaving=True),
        ]
    )
    assert [(each.server, each.cpu) for each in found] == [("a", 40.0), ("e", None)]


async def test_metrics_tell_the_advice(pool: PoolRegistry) -> None:
    metrics = CollectorRegistry()
    await beat(pool, 95.0)
    await ScalingAdvisor(pool, metrics=AdviceMetrics(metrics)).advise()
    value = metrics.get_sample_value
    assert value("perftui_pool_current_instances", {"pool": "web"}) == 2
    assert value("perftui_pool_wanted_instances", {"pool": "web"}) == 3
    assert value("perftui_pool_max_instances", {"pool": "web"}) == 10


async def test_a_command_carries_advice_out(pool: PoolRegistry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import os, sys; "
        "text = ' '.join(sys.argv[2:]) + os.environ['PERFTUI_WANT']; "
        "open(sys.argv[1], 'a').write(text + '\\n')"
    )
    executor = CommandExecutor([sys.executable, "-c", script, str(out), "{pool}", "{want}", "of"])
    await beat(pool, 95.0)
    async with ScalingAdvisor(pool, executor=executor, interval=0.1):

        async def recorded() -> bool:
            return any(event["kind"] == "scaled" for event in await pool.events())

        await until(recorded)
        await asyncio.sleep(0.5)
    assert out.read_text() == "web 3 of3\n"


async def test_text_of_a_reason_is_no_command(tmp_path: Path) -> None:
    script = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    executor = CommandExecutor([sys.executable, "-c", script, str(tmp_path / "out"), "{reason}"])
    reason = "$(touch x); `id` && {want} \"'"
    await executor.execute("web", GROW._replace(reason=reason))
    assert (tmp_path / "out").read_text() == reason


async def test_a_command_that_fails_says_why() -> None:
    script = "import sys; sys.stderr.write('no such deployment\\n'); sys.exit(3)"
    with pytest.raises(ExecutionError, match="exit code 3: no such deployment"):
        await CommandExecutor([sys.executable, "-c", script]).execute("web", GROW)
    with pytest.raises(ExecutionError, match="cannot be run"):
        await CommandExecutor(["/no/such/program"]).execute("web", GROW)


async def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    file = tmp_path / "pid"
    executor = CommandExecutor([sys.executable, "-c", script, str(file)], timeout=2.0)
    with pytest.raises(ExecutionError, match="did not end within 2 s"):
        await executor.execute("web", GROW)
    if file.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


@pytest.mark.parametrize(
    "command", [[], "kubectl scale", [""], ["x", "{wanted}"], ["x", "{want!r}"], ["x", "{0}"]]
)
def test_a_command_must_make_sense(command: Any) -> None:
    with pytest.raises(ValueError, match="command"):
        CommandExecutor(command)
