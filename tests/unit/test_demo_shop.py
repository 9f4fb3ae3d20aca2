"""The pieces of the demo shop that have rules of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest
from demo_processes import wait_for
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.cache.coherence import CoherenceState
from perftui.cache.manager import CacheManager
from perftui.cache.miss import MISS
from perftui.demo.child import describe_end
from perftui.demo.load_curve import HIGHEST_RATE, LOWEST_RATE, rate_at
from perftui.demo.messages import LONGEST_REASON, PartState, PartStatus, encode_line
from perftui.demo.pool_choice import PoolChoice
from perftui.demo.pool_operator import settle
from perftui.demo.redis_binary import find_redis_server, server_version
from perftui.demo.shop import Worker
from perftui.demo.shop_cache import MEMORY_ITEMS, STAMPEDE_SECONDS, Values, shop_cache
from perftui.demo.shop_catalogue import card_number, create_database
from perftui.demo.shop_checkout import is_valid_card
from perftui.demo.shop_database import Customer, Discount, Product
from perftui.demo.shop_errors import NotFoundError, RejectedError
from perftui.demo.shop_operations import Shop
from perftui.demo.shop_pool import pool_agent
from perftui.demo.shop_pricing import LARGEST_REDUCTION, apply_discounts
from perftui.demo.stage import _environment
from perftui.pool.errors import UnknownServerError
from perftui.pool.registry import PoolRegistry
from perftui.pool.selection import NoAvailableServersError

NOBODY = Path("/nonexistent/redis.sock")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    database = tmp_path / "shop.sqlite"
    create_database(database)
    shop = Shop(database, NOBODY)
    yield shop
    shop.close()


@pytest.fixture
def cache(redis_server: RedisProcess) -> Iterator[CacheManager]:
    with shop_cache(Path(redis_server.socket)).sync as started:
        wait_for(lambda: started.coherence.state is CoherenceState.LIVE)
        yield started.manager


def test_shop_sells_without_redis(shop: Shop) -> None:
    with pytest.raises(RejectedError, match="empty"):
        shop.checkout(5)
    assert b"total" in shop.cart(5, 17)
    assert b"Order 6001" in shop.checkout(5)
    with pytest.raises(RejectedError, match="empty"):
        shop.checkout(5)
    with pytest.raises(NotFoundError):
        shop.price_for(100_000, 5)
    wait_for(lambda: shop.cache.coherence.state is CoherenceState.LOST)
    shop.price_for(17, 5)
    counts = shop.cache.reading().counts["product"]
    assert counts.redis_hits == counts.redis_misses == 0
    # The database could not bear an outage without it.
    assert counts.memory_items > 0
    assert counts.memory_size > 0


def test_searched_words_are_marked_and_text_is_escaped(shop: Shop) -> None:
    page = shop.search("copper <b>", 3).decode()
    assert "<mark>copper</mark>" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


@given(
    st.lists(
        st.builds(
            Discount,
            st.just("offer"),
            st.sampled_from([None, "gold"]),
            st.sampled_from([None, "DE", "FR"]),
            st.integers(1, 10),
            st.integers(0, 60),
            st.integers(0, 100_000),
        ),
        max_size=8,
    ),
    st.integers(1, 12),
)
def test_discounts_never_raise_a_price_nor_pass_the_limit(
    discounts: list[Discount], quantity: int
) -> None:
    product = Product(1, "n", "c", "m", "d", 10_000, 4.0, (), ())
    customer = Customer(1, "gold", "DE", "s", "c")
    price = apply_discounts(product, discounts, customer, quantity)
    assert 100 * (1 - LARGEST_REDUCTION) <= price <= Decimal(100)


@given(st.text("0123456789", min_size=1, max_size=18), st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(digits: str, position: int, change: int) -> None:
    card = card_number(digits)
    assert is_valid_card(card)
    position %= len(card)
    wrong = str((int(card[position]) + change) % 10)
    assert not is_valid_card(card[:position] + wrong + card[position + 1 :])


class Source:
    """Loads texts by number and knows which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def load(self, number: int) -> str | None:
        self.asked.append(number)
        return None if number == 404 else f"value {number}"


def test_values_are_loaded_once_and_so_is_what_does_not_exist(cache: CacheManager) -> None:
    source = Source()
    values: Values[int, str] = Values(cache, "test", str, source.load, suffix=":text")
    assert values.get_many([1, 2, 1, 404]) == {1: "value 1", 2: "value 2"}
    assert values.get(1) == "value 1"
    assert values.get(404) is None
    assert source.asked == [1, 2, 404]
    assert cache.sync.get_cached("test:2:text") == b'"value 2"'
    values.put(2, "new")
    assert values.get(2) == "new"
    values.drop(2)
    assert values.get(2) == "value 2"
    assert source.asked == [1, 2, 404, 2]


def test_memory_of_a_worker_is_too_small_for_all_values(cache: CacheManager) -> None:
    source = Source()
    values: Values[int, str] = Values(cache, "test", str, source.load)
    for number in range(1000, 1000 + 2 * MEMORY_ITEMS):
        values.get(number)
    # The server tells this process of its own writes too, which drops some of them.
    for number in range(1000, 1000 + 2 * MEMORY_ITEMS):
        values.get(number)
    counts = cache.reading().counts["test"]
    assert counts.memory_items <= MEMORY_ITEMS
    assert counts.memory_evictions > 0
    assert len(source.asked) == 2 * MEMORY_ITEMS


def test_a_stampede_empties_the_cache_and_gives_all_values_the_same_end(
    cache: CacheManager,
) -> None:
    source = Source()
    values: Values[int, str] = Values(cache, "test", str, source.load)
    other: Values[int, str] = Values(cache, "other", str, source.load)
    values.get(1)
    other.get(1)
    values.set_stampede(True)
    values.get(1)
    other.get(1)
    assert source.asked == [1, 1, 1]
    for number in range(20):
        values.get(number)
    wait_for(lambda: cache.sync.get_cached("test:19") is MISS, 3 * STAMPEDE_SECONDS)
    assert all(cache.sync.get_cached(f"test:{number}") is MISS for number in range(20))
    values.set_stampede(False)
    source.asked.clear()
    values.get(1)
    time.sleep(STAMPEDE_SECONDS)
    values.get(1)
    assert source.asked == [1]


def test_a_worker_counts_all_requests_and_measures_those_it_knows(tmp_path: Path) -> None:
    create_database(tmp_path / "shop.sqlite")
    agent = pool_agent("web-1", "127.0.0.1:1", tmp_path)
    worker = Worker("web-1", tmp_path, agent)
    before = worker.metrics.counts().get("price_for")
    try:
        assert worker.answer("/price?product=7&customer=3")[0] is HTTPStatus.OK
        assert worker.answer("/price?product=100000&customer=3")[0] is HTTPStatus.NOT_FOUND
        assert worker.answer("/nothing?customer=3")[0] is HTTPStatus.NOT_FOUND
        worker.shop.price_for = _broken  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError):
            worker.answer("/price?product=7&customer=3")
    finally:
        worker.shop.close()
    counts = agent.requests.read()
    assert (counts.at_work, counts.finished, counts.error_percent) == (0, 4, 25.0)
    after = worker.metrics.counts()["price_for"]
    assert after.count - (before.count if before else 0) == 3


def _broken(number: int, customer: int) -> bytes:
    raise ZeroDivisionError


def test_what_a_hung_supervisor_has_no_room_for_is_lost_at_once() -> None:
    program = "\n".join(
        (
            "from perftui.demo.control import report",
            "from perftui.demo.messages import Report",
            "for _ in range(10_000): report(Report(cpu_percent=12.5))",
        )
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=_environment()
    ) as child:
        try:
            assert child.wait(60) == 0
        finally:
            child.kill()


def test_without_a_pool_the_known_workers_get_requests(tmp_path: Path) -> None:
    choice = PoolChoice(tmp_path)
    with pytest.raises(NoAvailableServersError), choice.request():
        pass
    choice.know({"web-1": "127.0.0.1:1", "web-2": "127.0.0.1:2"})
    with choice.request() as first, choice.request(avoid=[first.id]) as second:
        assert {first.id: first.address, second.id: second.address} == {
            "web-1": "127.0.0.1:1",
            "web-2": "127.0.0.1:2",
        }
    choice.know({"web-3": "127.0.0.1:3"})
    with choice.request() as server:
        assert server.id == "web-3"
    choice.close()


def test_operator_brings_back_only_what_it_has_drained(redis_server: RedisProcess) -> None:
    async def course() -> list[dict[str, str]]:
        seen = []
        async with PoolRegistry(redis_server.url, "web") as registry:
            with pytest.raises(UnknownServerError):
                await settle(registry, "web-1")
            for number in (1, 2, 3):
                await registry.register(f"web-{number}", f"127.0.0.1:{number}")
            await registry.set_state("web-2", "maint", "disk", "somebody")
            for wanted in ("web-1", "web-1", "web-3", "web-2", ""):
                await settle(registry, wanted)
                seen.append({row["id"]: row["admin"] for row in await registry.servers()})
        return seen

    def states(*words: str) -> dict[str, str]:
        return dict(zip(("web-1", "web-2", "web-3"), words, strict=True))

    assert asyncio.run(course()) == [
        states("drain", "maint", "ready"),
        states("drain", "maint", "ready"),
        states("ready", "maint", "drain"),
        states("ready", "maint", "ready"),
        states("ready", "maint", "ready"),
    ]


@given(st.floats(0, 1e6))
def test_load_stays_within_its_bounds(seconds: float) -> None:
    assert LOWEST_RATE <= rate_at(seconds) <= HIGHEST_RATE


@given(st.text())
def test_a_status_fits_into_one_write_to_a_pipe(reason: str) -> None:
    status = PartStatus("redis", PartState.FAILED, reason=(reason * 700)[:LONGEST_REASON])
    line = encode_line(status)
    assert len(line) <= 4096
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line, type=PartStatus) == status


def test_redis_program_is_found_and_new_enough(tmp_path: Path) -> None:
    program = find_redis_server()
    assert program is not None
    assert (server_version(program) or (0, 0)) >= (6, 0)
    assert server_version(tmp_path / "missing") is None


def test_an_old_server_on_the_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=00000000:0'\n")
    old.chmod(0o755)
    assert server_version(old) == (5, 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() != old


def test_ends_are_told_in_words() -> None:
    assert describe_end(3) == "ended with status 3"
    assert describe_end(-9) == "was ended by SIGKILL"
    assert describe_end(-250) == "was ended by signal 250"
