"""A server of a pool that is killed: nobody's request fails twice, and everybody sees it gone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_fixture import RedisProcess

from perftui.pool.balancer import LoadBalancer
from perftui.pool.registry import PoolRegistry
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.target import RedisTarget

SERVERS = ("a", "b", "c")
PROGRAM = Path(__file__).with_name("pool_server.py")


@pytest.fixture
def servers(redis_server: RedisProcess) -> Iterator[dict[str, subprocess.Popen[str]]]:
    started = {
        name: subprocess.Popen(
            [sys.executable, str(PROGRAM), redis_server.url, "shop", name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in SERVERS
    }
    for process in started.values():
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdecimal()
    yield started
    for process in started.values():
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def ask(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        return await reader.read()
    finally:
        writer.close()


async def failures_of_a_request(balancer: LoadBalancer) -> int:
    """Ask until a server answers; return how often none did."""
    failed: set[str] = set()
    while True:
        request = balancer.request(avoid=failed)
        async with request as server:
            try:
                assert await ask(server.address) == b"ok"
            except ConnectionRefusedError:
                assert server.id not in failed
                failed.add(server.id)
                request.unreachable()
            else:
                return len(failed)


@pytest.mark.parametrize("mode", ["local", "exact"])
async def test_a_killed_server_costs_no_request_two_failures(
    redis_server: RedisProcess, servers: dict[str, subprocess.Popen[str]], mode: str
) -> None:
    source = PoolsSource(RedisTarget.parse(redis_server.url))
    async with (
        PoolRegistry(redis_server.url, "shop", timeout=2.0) as registry,
        LoadBalancer(registry=registry, mode=mode) as balancer,
    ):
        end = time.monotonic() + 30
        while set(balancer.status.eligible) != set(SERVERS):
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert [await failures_of_a_request(balancer) for _ in range(9)] == [0] * 9
        servers["b"].kill()
        servers["b"].wait()
        failed = []
        end = time.monotonic() + 30
        row = {"state": "ready"}
        while row["state"] != "stale":
            assert time.monotonic() < end, "it was not out in time"
            failed.append(await failures_of_a_request(balancer))
            row = next(row for row in await registry.servers() if row["id"] == "b")
            await asyncio.sleep(0.01)
        assert max(failed) == 1, "the dead server was picked, and each request only once failed"
        assert float(row["last_seen"]) > 3.0
        assert not row["eligible"]
        (pool,) = await asyncio.to_thread(source.sample)
        seen = {server.id: server.state for server in pool.servers}
        assert seen == {"a": "ready", "b": "stale", "c": "ready"}
        while "b" in balancer.status.live:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert {await registry.pick() for _ in range(6)} == {"a", "c"}
        assert {await balancer.distribute_request() for _ in range(6)} == {"a", "c"}
