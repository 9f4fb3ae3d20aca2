"""LoadBalancer over a registry in a real Redis, and as the transport of a real HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from redis_fixture import RedisProcess

from perftui import LoadBalancer, NoAvailableServersError, PoolRegistry, ScalingConfig
from perftui.pool.readings import Server


async def until(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def registry(redis_server: RedisProcess) -> AsyncIterator[PoolRegistry]:
    async with PoolRegistry(redis_server.url, "shop", timeout=2.0) as pool:
        yield pool


async def fill(registry: PoolRegistry, **cpu: float) -> None:
    for server, usage in cpu.items():
        await registry.register(server, f"{server}:80")
        await registry.heartbeat(server, usage, 20.0, 10.0)


async def test_strict_alternates_the_others_and_refuses_when_all_are_above(
    registry: PoolRegistry,
) -> None:
    await fill(registry, a=10.0, b=95.0, c=10.0)
    async with LoadBalancer(ScalingConfig(), registry, strict=True, refresh=0.05) as balancer:
        picked = [await balancer.distribute_request({"path": "/"}) for _ in range(4)]
        assert picked == ["a", "c"] * 2
        await fill(registry, a=95.0, b=95.0, c=95.0)
        await until(lambda: not balancer.status.eligible)
        with pytest.raises(NoAvailableServersError):
            await balancer.distribute_request(None)


async def test_panic_uses_all_and_is_an_event(registry: PoolRegistry) -> None:
    await fill(registry, a=95.0, b=95.0, c=95.0)
    async with LoadBalancer(ScalingConfig(), registry, refresh=0.05) as balancer:
        picked = Counter([await balancer.distribute_request(None) for _ in range(9)])
        assert balancer.panic
        assert picked == {"a": 3, "b": 3, "c": 3}
        end = time.monotonic() + 15
        while "panic" not in {event["kind"] for event in await registry.events()}:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("mode", ["local", "exact"])
async def test_picks_and_outcomes_are_told(registry: PoolRegistry, mode: str) -> None:
    await fill(registry, a=10.0, b=10.0)
    async with LoadBalancer(registry=registry, mode=mode, refresh=0.05) as balancer:
        for number in range(10):
            with contextlib.suppress(OSError):
                async with balancer.request(number) as server:
                    assert server.address == f"{server.id}:80"
                    if number == 0:
                        raise OSError
    rows = {row["id"]: row for row in await registry.servers()}
    assert {server: row["picks"] for server, row in rows.items()} == {"a": 5, "b": 5}
    assert sum(row["done"] for row in rows.values()) == 10
    assert sum(row["fails"] for row in rows.values()) == 1
    assert not sum(row["in_flight"] or 0 for row in rows.values())


async def test_drain_is_respected(registry: PoolRegistry) -> None:
    await fill(registry, a=10.0, b=10.0)
    async with LoadBalancer(registry=registry, refresh=0.05) as balancer:
        await registry.set_state("a", "drain", "new version")
        await until(lambda: balancer.status.eligible == ("b",))
        assert {await balancer.distribute_request(None) for _ in range(4)} == {"b"}


async def test_picks_go_on_while_redis_is_away(
    registry: PoolRegistry, redis_server: RedisProcess
) -> None:
    await fill(registry, a=10.0, b=10.0)
    config = ScalingConfig(balancing={"snapshot_age": 0.2})
    static = [Server("s", "s:80")]
    async with (
        LoadBalancer(config, registry, refresh=0.05) as balancer,
        LoadBalancer(config, registry, refresh=0.05, static=static) as fallback,
    ):
        assert set(balancer.status.eligible) == set(fallback.status.eligible) == {"a", "b"}
        redis_server.kill()
        await until(lambda: balancer.status.outdated and balancer.status.error)
        assert {await balancer.distribute_request(None) for _ in range(4)} == {"a", "b"}
        await until(lambda: fallback.status.eligible == ("s",))


async def test_threads_without_a_loop_pick_and_share_the_turns(registry: PoolRegistry) -> None:
    await fill(registry, a=10.0, b=10.0, c=10.0)
    balancer = LoadBalancer(registry=registry, refresh=0.05)
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def work() -> None:
        mine = Counter(balancer.pick() for _ in range(3000))
        with lock:
            counts.update(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await balancer.aclose()
    assert counts == {"a": 4000, "b": 4000, "c": 4000}
    assert {row["id"]: row["picks"] for row in await registry.servers()} == counts


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="needs a registry, or static servers"):
        LoadBalancer()
    static = [Server("a", "a:80")]
    with pytest.raises(ValueError, match="mode is 'remote'"):
        LoadBalancer(static=static, mode="remote")
    with pytest.raises(ValueError, match="needs mode='local'"):
        LoadBalancer(static=static, mode="exact", policy="p2c")
    with pytest.raises(ValueError, match="policy is 'best'"):
        LoadBalancer(static=static, policy="best")


class Backend(ThreadingHTTPServer):
    """Answers each request with its own port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.serving = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.serving.start()

    def kill(self) -> None:
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.server.server_port} {self.headers['Host']}".encode()  # type: ignore[attr-defined]
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    made = [Backend() for _ in range(3)]
    yield made
    for backend in made:
        backend.kill()


def over(backends: list[Backend]) -> LoadBalancer:
    static = [Server(f"w{i}", f"127.0.0.1:{b.server_port}") for i, b in enumerate(backends)]
    return LoadBalancer(static=static)


async def test_a_killed_server_fails_no_request_that_may_be_repeated(
    backends: list[Backend],
) -> None:
    httpx = pytest.importorskip("httpx")
    from perftui.pool.httpx_transport import BalancedTransport

    balancer = over(backends)
    transport = BalancedTransport(balancer)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        seen = Counter([(await client.get("/")).text for _ in range(9)])
        assert seen == {f"{backend.server_port} shop": 3 for backend in backends}
        backends[1].kill()
        for _ in range(30):
            response = await client.get("/", headers={"Connection": "close"})
            assert response.status_code == 200
        assert balancer.status.excluded == {"w1"}
    counts = balancer.selection.take_counts()
    assert all(count.in_flight == 0 for count in counts.values())
    assert sum(count.picks for count in counts.values()) <= 41


async def test_a_post_fails_once_and_then_goes_elsewhere(backends: list[Backend]) -> None:
    httpx = pytest.importorskip("httpx")
    from perftui.pool.httpx_transport import BalancedTransport

    backends[2].kill()
    failed = 0
    transport = BalancedTransport(over(backends))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        for _ in range(12):
            try:
                assert (await client.post("/")).status_code == 200
            except httpx.ConnectError:
                failed += 1
    assert failed == 1


async def test_a_streamed_request_is_at_work_until_it_is_closed(backends: list[Backend]) -> None:
    httpx = pytest.importorskip("httpx")
    from perftui.pool.httpx_transport import BalancedTransport

    balancer = over(backends)
    transport = BalancedTransport(balancer)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        async with client.stream("GET", "/broken") as response:
            assert response.status_code == 500
            (at_work,) = balancer.selection.take_counts().values()
            assert (at_work.in_flight, at_work.done) == (1, 0)
        (ended,) = balancer.selection.take_counts().values()
        assert (ended.in_flight, ended.done, ended.fails) == (-1, 1, 1)
