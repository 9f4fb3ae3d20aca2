"""A balancer outlives errors and forks, hears of decisions soon, and tells a panic once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis_fixture import RedisProcess

from perftui.pool.balancer import LoadBalancer
from perftui.pool.registry import PoolRegistry
from perftui.pool.server_usage import ProcessShare


async def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 15.0
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def registry(redis_server: RedisProcess) -> AsyncIterator[PoolRegistry]:
    async with PoolRegistry(redis_server.url, "shop", timeout=2.0) as pool:
        for name in "ab":
            await pool.register(name, f"{name}:80")
            await pool.heartbeat(name, 10.0, 10.0, 10.0)
        yield pool


async def test_any_error_is_told_and_survived(
    registry: PoolRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LoadBalancer(registry=registry, refresh=0.05) as balancer:

        async def broken() -> list[dict[str, Any]]:
            raise RuntimeError("odd rows")

        monkeypatch.setattr(registry, "servers", broken)
        await until(lambda: balancer.status.error == "odd rows")
        assert await balancer.distribute_request() in {"a", "b"}
        monkeypatch.undo()
        await until(lambda: not balancer.status.error)
    assert [r.getMessage() for r in caplog.records if "cannot read" in r.getMessage()] == [
        "the balancer cannot read pool 'shop': odd rows"
    ]


async def test_a_decision_is_heard_of_long_before_the_next_reading(registry: PoolRegistry) -> None:
    async with LoadBalancer(registry=registry, refresh=60.0) as balancer:
        await registry.set_state("a", "drain", "new version")
        await until(lambda: balancer.status.eligible == ("b",))


async def test_exact_picks_go_on_when_redis_refuses(
    registry: PoolRegistry, redis_server: RedisProcess
) -> None:
    async with LoadBalancer(registry=registry, mode="exact", refresh=60.0) as balancer:
        redis_server.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        assert {await balancer.distribute_request() for _ in range(4)} == {"a", "b"}
        redis_server.client.execute_command("REPLICAOF", "NO", "ONE")


async def test_several_balancers_tell_one_panic(registry: PoolRegistry) -> None:
    async def kinds() -> list[str]:
        found = [event["kind"] for event in await registry.events()]
        return [kind for kind in found if kind.startswith("panic")]

    for name in ("one", "two", "one"):
        await registry.tell_panic(name, True, "few")
    assert await kinds() == ["panic"]
    await registry.tell_panic("one", False, "enough")
    assert await kinds() == ["panic"]
    await registry.tell_panic("two", False, "enough")
    assert await kinds() == ["panic-over", "panic"]
    await registry.tell_panic("two", False, "enough")
    assert len(await kinds()) == 2


async def test_a_forked_child_reads_the_pool_itself(registry: PoolRegistry) -> None:
    async with LoadBalancer(registry=registry, refresh=0.05) as balancer:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                picked = {balancer.pick() for _ in range(4)}
                read = balancer.status.error == "" and balancer._thread is not None
                code = 0 if picked == {"a", "b"} and read else 2
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert {await balancer.distribute_request() for _ in range(4)} == {"a", "b"}


def test_cpu_is_a_share_of_what_may_be_used() -> None:
    share = ProcessShare(cpus=0.001)
    share()
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    assert share().cpu == 100.0
    with pytest.raises(ValueError, match="cpus is 0"):
        ProcessShare(cpus=0)
