"""Each scenario of the demo has its effect on real processes, and it ends with the scenario."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import psutil
import pytest
import redis
from demo_processes import part, wait_for, wait_until_ready

from perftui.demo.messages import PartState
from perftui.demo.scenarios import SCENARIOS, WORKERS, scenario_after
from perftui.demo.shop_pool import POOL
from perftui.demo.stage import DemoStage
from perftui.demo.traffic import request_page
from perftui.metrics.report import INDEX_KEY, OperationCounts, ServiceReport, decode, report_key
from perftui.pool.keys import ServerLoad, pool_key
from perftui.pool.registry import PoolRegistry

PATIENCE = 60.0
OPERATIONS = 6


@pytest.fixture(scope="module")
def stage() -> Iterator[DemoStage]:
    with DemoStage() as stage:
        wait_until_ready(stage)
        yield stage


@pytest.fixture(autouse=True)
def steady_afterwards(stage: DemoStage) -> Iterator[None]:
    yield
    stage.set_scenario("steady")
    wait_until_ready(stage)


@pytest.fixture
def client(stage: DemoStage) -> Iterator[Any]:
    with redis.Redis.from_url(stage.redis_url) as client:
        yield client


def reports(client: Any) -> list[ServiceReport]:
    """Return the newest report of each worker that has one."""
    members = [member.decode() for member in client.zrange(INDEX_KEY, 0, -1)]
    payloads = client.mget([report_key(*member.split("/", 1)) for member in members])
    return [decode(payload) for payload in payloads if payload is not None]


def totals(client: Any) -> dict[str, OperationCounts]:
    """Return calls and seconds of each operation over all workers."""
    sums: dict[str, OperationCounts] = {}
    for report in reports(client):
        for name, counts in report.operations.items():
            so_far = sums.get(name, OperationCounts(0, 0, 0.0))
            sums[name] = OperationCounts(
                so_far.count + counts.count, 0, so_far.seconds + counts.seconds
            )
    return sums


def means_from_now(client: Any, calls: int) -> dict[str, float]:
    """Return the mean seconds of each operation over at least so many calls from now on."""
    wait_for(lambda: len(totals(client)) == OPERATIONS)
    before = totals(client)

    def differences() -> dict[str, OperationCounts]:
        after = totals(client)
        change = {
            name: OperationCounts(
                counts.count - before[name].count, 0, counts.seconds - before[name].seconds
            )
            for name, counts in after.items()
            if name in before
        }
        enough = len(change) == OPERATIONS and all(
            counts.count >= calls for counts in change.values()
        )
        return change if enough else {}

    return {
        name: counts.seconds / counts.count
        for name, counts in wait_for(differences, PATIENCE).items()
    }


def load_of(client: Any, name: str) -> ServerLoad:
    """Return what a worker said at its last heartbeat."""
    payload = wait_for(lambda: client.hget(pool_key("web", "load"), name))
    return msgspec.json.decode(payload, type=ServerLoad)


def eligible(client: Any) -> set[str]:
    """Return the ids of the servers that may be picked."""
    return {name.decode() for name in client.zrange(pool_key("web", "ok"), 0, -1)}


def picked(client: Any, name: str) -> int:
    """Return how many requests a server gets within one second."""
    before = int(client.hget(pool_key("web", "picks"), name) or 0)
    time.sleep(1.0)
    return int(client.hget(pool_key("web", "picks"), name) or 0) - before


def redis_lookups(client: Any) -> tuple[int, int]:
    """Return hits and misses of the products in the Redis tier over all workers."""
    counts = [report.caches["product"] for report in reports(client)]
    return sum(count.redis_hits for count in counts), sum(count.redis_misses for count in counts)


def test_slow_operation_is_slow_and_recovers(stage: DemoStage, client: Any) -> None:
    stage.set_scenario("slow-operation")

    def checkout_stands_out() -> dict[str, float]:
        means = means_from_now(client, 4)
        # While the caches are cold every operation is slow.
        return means if means["checkout"] > 2 * sum(means.values()) / len(means) else {}

    slow = wait_for(checkout_stands_out, PATIENCE)
    stage.set_scenario("steady")
    time.sleep(3.0)
    assert means_from_now(client, 5)["checkout"] < slow["checkout"] / 2


def test_overloaded_server_leaves_the_pool_and_comes_back(stage: DemoStage, client: Any) -> None:
    wait_for(lambda: eligible(client) == set(WORKERS))
    stage.set_scenario("overloaded-server")
    wait_for(lambda: eligible(client) == {"web-1", "web-3"}, PATIENCE)
    assert load_of(client, "web-2").cpu_usage > 50
    wait_for(lambda: not picked(client, "web-2"))
    assert picked(client, "web-1")
    wait_for(lambda: stage.first_worker_pid() == part(stage, "web-2").pid)
    stage.set_scenario("steady")
    wait_for(lambda: eligible(client) == set(WORKERS), PATIENCE)


def test_memory_leak_grows_one_worker_and_gives_it_back(stage: DemoStage, client: Any) -> None:
    leaking, other = (psutil.Process(part(stage, name).pid) for name in ("web-1", "web-2"))
    before = leaking.memory_info().rss
    stage.set_scenario("memory-leak")
    address = part(stage, "web-1").address

    def leaked() -> bool:
        request_page(address, "/products?category=desk&customer=1")
        return leaking.memory_info().rss > before + 60_000_000

    wait_for(leaked, PATIENCE)
    assert other.memory_info().rss < before + 20_000_000
    stage.set_scenario("steady")
    wait_for(lambda: leaking.memory_info().rss < before + 15_000_000)


def test_stampede_lowers_the_hit_ratio(stage: DemoStage, client: Any) -> None:
    hits, misses = wait_for(lambda: redis_lookups(client))
    expired = client.info("stats")["expired_keys"]
    stage.set_scenario("cache-stampede")
    wait_for(lambda: redis_lookups(client)[1] > misses + 300, PATIENCE)
    hits, misses = redis_lookups(client)
    time.sleep(4.2)
    more_hits, more_misses = redis_lookups(client)
    assert (more_hits - hits) / (more_hits + more_misses - hits - misses) < 0.7
    assert client.info("stats")["expired_keys"] > expired + 300


def test_redis_down_stays_down_while_the_shop_works(stage: DemoStage, client: Any) -> None:
    stage.set_scenario("redis-down")
    wait_for(lambda: part(stage, "redis").state is PartState.STOPPED)
    assert "redis-down" in part(stage, "redis").reason
    for name in WORKERS:
        status, _ = request_page(part(stage, name).address, "/product?product=7&customer=3")
        assert status == 200
    time.sleep(1.0)
    assert part(stage, "redis").state is PartState.STOPPED
    with pytest.raises(redis.ConnectionError):
        client.ping()
    stage.set_scenario("steady")
    wait_until_ready(stage)
    wait_for(lambda: eligible(client) == set(WORKERS))
    wait_for(lambda: len(reports(client)) == len(WORKERS))


def test_a_worker_that_is_restarted_gets_the_scenario(stage: DemoStage, client: Any) -> None:
    stage.set_scenario("overloaded-server")
    wait_for(lambda: load_of(client, "web-2").cpu_usage > 50, PATIENCE)
    pid = part(stage, "web-2").pid
    psutil.Process(pid).kill()
    wait_for(lambda: part(stage, "web-2").pid not in (pid, None))
    wait_until_ready(stage)
    busy = psutil.Process(part(stage, "web-2").pid)
    wait_for(lambda: busy.cpu_times().user > 2.0, PATIENCE)


def rows(stage: DemoStage) -> dict[str, dict[str, Any]]:
    """Return what the pool says of each server."""

    async def read() -> list[dict[str, Any]]:
        async with PoolRegistry(stage.redis_url, POOL) as registry:
            return await registry.servers()

    return {row["id"]: row for row in asyncio.run(read())}


def decide(stage: DemoStage, server: str, state: str, weight: int | None = None) -> None:
    """Decide for a server as the screen does."""

    async def tell() -> None:
        async with PoolRegistry(stage.redis_url, POOL) as registry:
            await registry.set_state(server, state, "test")
            await registry.set_weight(server, weight)

    asyncio.run(tell())


def test_an_operator_steers_the_traffic(stage: DemoStage, client: Any) -> None:
    wait_for(lambda: all(row["in_flight"] is not None for row in rows(stage).values()))
    try:
        for state in ("drain", "maint"):
            wait_for(lambda: picked(client, "web-3"))
            decide(stage, "web-3", state)
            wait_for(lambda: not picked(client, "web-3"))
            wait_for(lambda: rows(stage)["web-3"]["in_flight"] == 0)
            assert rows(stage)["web-3"]["state"] == state
            assert picked(client, "web-1")
            decide(stage, "web-3", "ready")
        wait_for(lambda: picked(client, "web-3"))
        decide(stage, "web-3", "ready", weight=0)
        wait_for(lambda: not picked(client, "web-3"))
        decide(stage, "web-3", "ready", weight=20)
        wait_for(lambda: picked(client, "web-3") > 2 * picked(client, "web-1"), PATIENCE)
    finally:
        decide(stage, "web-3", "ready")
    wait_for(lambda: eligible(client) == set(WORKERS))


def test_drained_server_gets_no_requests_and_comes_back(stage: DemoStage, client: Any) -> None:
    wait_for(lambda: picked(client, "web-3"))
    stage.set_scenario("drained-server")
    wait_for(lambda: rows(stage)["web-3"]["state"] == "drain")
    wait_for(lambda: not picked(client, "web-3"))
    wait_for(lambda: rows(stage)["web-3"]["in_flight"] == 0)
    assert picked(client, "web-1")
    assert rows(stage)["web-3"]["reason"] == "deployment of a new version"
    stage.set_scenario("steady")
    wait_for(lambda: eligible(client) == set(WORKERS))
    wait_for(lambda: picked(client, "web-3"))


def test_dead_server_is_stale_and_the_others_go_on(stage: DemoStage, client: Any) -> None:
    wait_for(lambda: eligible(client) == set(WORKERS))
    stage.set_scenario("dead-server")
    wait_for(lambda: part(stage, "web-3").state is PartState.STOPPED)
    assert "dead-server" in part(stage, "web-3").reason
    wait_for(lambda: rows(stage)["web-3"]["state"] == "stale")
    wait_for(lambda: eligible(client) == {"web-1", "web-2"})
    wait_for(lambda: not picked(client, "web-3"))
    assert picked(client, "web-1")
    stage.set_scenario("steady")
    wait_until_ready(stage)
    wait_for(lambda: eligible(client) == set(WORKERS))
    wait_for(lambda: picked(client, "web-3"))


def test_wrong_requests_get_an_answer_and_count_as_what_they_are(stage: DemoStage) -> None:
    address = part(stage, "web-1").address
    for target, status in (
        ("/product?product=9999&customer=1", 404),
        ("/product?product=x&customer=1", 404),
        ("/nothing?customer=1", 404),
        ("/products?category=desk&customer=0", 404),
        ("/products?category=desk&customer=1&page=-9999999999999999999999", 200),
        ("/search?q=%25%27%22&customer=1", 200),
    ):
        assert request_page(address, target)[0] == status, target


def test_scenarios_follow_each_other_in_a_circle(stage: DemoStage) -> None:
    name = SCENARIOS[0].name
    seen = []
    for _ in SCENARIOS:
        seen.append(name)
        name = scenario_after(name).name
    assert seen == [scenario.name for scenario in SCENARIOS]
    assert name == SCENARIOS[0].name
    assert stage.next_scenario() == SCENARIOS[1].name
    assert stage.scenario == SCENARIOS[1].name
