"""A server keeps itself in a pool, and leaves it in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis_fixture import RedisProcess

from perftui.pool.agent import ServerAgent
from perftui.pool.keys import pool_key
from perftui.pool.registry import PoolRegistry

ROOT = str(Path(__file__).parents[2])
SERVER = """
import os, signal, sys, time
from perftui.pool.agent import ServerAgent
from perftui.pool.registry import PoolRegistry
def chained(number, frame):
    print("chained", agent.requests.at_work, flush=True)
    sys.exit(3)
if {chain}:
    signal.signal(signal.SIGTERM, chained)
agent = ServerAgent(PoolRegistry({url!r}, "web"), "a", "x:1", interval=0.1,
                    drain_seconds=20, settle_seconds=0.1).start()
with agent.request():
    while agent.status.state != "leaving": time.sleep(0.01)
    while not os.path.exists({go!r}): time.sleep(0.01)
time.sleep(30)
"""


def wait(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("chain", [True, False])
def test_sigterm_drains_and_hands_the_signal_on(
    redis_server: RedisProcess, tmp_path: Path, chain: bool
) -> None:
    client, go = redis_server.client, tmp_path / "go"
    text = SERVER.format(url=redis_server.url, go=str(go), chain=chain)
    server = subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    try:
        wait(lambda: client.hget(pool_key("web", "inflight"), "a") == b"1", "a heartbeat")
        assert client.zrange(pool_key("web", "ok"), 0, -1) == [b"a"]
        server.send_signal(signal.SIGTERM)
        wait(lambda: not client.exists(pool_key("web", "ok")), "no more picks")
        assert client.hexists(pool_key("web", "meta"), "a")
        assert server.poll() is None
        go.touch()
        output, _ = server.communicate(timeout=20)
    finally:
        server.kill()
        server.wait()
    assert output == (b"chained 0\n" if chain else b"")
    assert server.returncode == (3 if chain else -signal.SIGTERM)
    assert not client.hexists(pool_key("web", "meta"), "a")


async def test_it_beats_in_the_event_loop_and_leaves_with_its_block(
    redis_server: RedisProcess,
) -> None:
    async with PoolRegistry(redis_server.url, "web") as registry:
        agent = ServerAgent(registry, "a", "x:1", interval=0.1, settle_seconds=0.0)
        async with agent:
            with agent.request():
                deadline = time.monotonic() + 20
                view = None
                while time.monotonic() < deadline:
                    found = await registry.servers()
                    view = found[0] if found else None
                    if view is not None and view["in_flight"] == 1:
                        break
                    await asyncio.sleep(0.02)
                assert view is not None
                assert view["in_flight"] == 1
                assert view["memory_usage"] > 0
            await registry.set_state("a", "maint", "disk")
            while agent.admin_state != "maint" and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            assert agent.admin_state == "maint"
        assert await registry.servers() == []
        assert agent.status.state == "stopped"


def test_a_redis_that_comes_back_hears_of_it_again(redis_server: RedisProcess) -> None:
    agent = ServerAgent(
        PoolRegistry(redis_server.url, "web"), "a", "x:1", interval=0.1, settle_seconds=0.0
    ).start()
    try:
        wait(lambda: agent.status.beats > 0, "a heartbeat")
        redis_server.kill()
        wait(lambda: agent.status.state == "failing", "the outage to be seen")
        redis_server.start()
        ok = pool_key("web", "ok")
        wait(lambda: redis_server.client.zrange(ok, 0, -1) == [b"a"], "a new registration")
    finally:
        agent.stop()
    assert not redis_server.client.hexists(pool_key("web", "meta"), "a")
