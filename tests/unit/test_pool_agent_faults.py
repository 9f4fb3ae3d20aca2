"""A fault of anything around a heartbeat does not end the heartbeats."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from redis_fixture import RedisProcess

from perftui.pool.agent import ServerAgent, ServerUsage
from perftui.pool.keys import pool_key
from perftui.pool.registry import PoolRegistry


def wait(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Usage:
    """Fails the first times, also at the very first."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self) -> ServerUsage:
        if self.failures:
            self.failures -= 1
            raise OSError("/proc is not there")
        return ServerUsage(12.0, 34.0)


class StumblingRegistry(PoolRegistry):
    """Answers a few heartbeats with an error that is not of the pool, as a client's bug would."""

    stumbles = 3

    async def heartbeat(self, *words: object, **named: object) -> str:
        if self.stumbles:
            self.stumbles -= 1
            raise RuntimeError("read() called while another coroutine is already waiting")
        return await super().heartbeat(*words, **named)  # type: ignore[arg-type]


def test_a_usage_that_raises_is_unknown_and_told_once(
    redis_server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    client, usage = redis_server.client, Usage(4)
    agent = ServerAgent(
        PoolRegistry(redis_server.url, "web", timeout=10.0), "a", "x:1", interval=0.05, usage=usage
    )
    with caplog.at_level(logging.WARNING, "perftui"):
        agent.start()
        try:
            wait(
                lambda: b'"cpu_usage":12.0' in (client.hget(pool_key("web", "load"), "a") or b""),
                "the usage",
            )
            assert agent.status.state == "beating"
            assert agent.status.beats >= 3
        finally:
            agent.stop(drain=False)
    assert [record.message for record in caplog.records] == ["the use of 'a' cannot be measured"]


def test_an_unknown_error_is_told_once_and_the_next_heartbeat_arrives(
    redis_server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    registry = StumblingRegistry(redis_server.url, "web", timeout=10.0)
    agent = ServerAgent(registry, "a", "x:1", interval=0.05)
    with caplog.at_level(logging.INFO, "perftui"):
        agent.start()
        try:
            wait(lambda: agent.status.beats > 0, "a heartbeat after the errors")
            assert agent.status.state == "beating"
            assert agent.status.error == ""
        finally:
            agent.stop(drain=False)
    told = [record for record in caplog.records if "'a'" in record.message]
    assert "another coroutine" in told[0].message
    assert told[0].exc_info is not None
    assert [record.levelname for record in told] == ["WARNING", "INFO"]
    assert registry.stumbles == 0
