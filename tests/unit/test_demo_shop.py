"""The pieces of the demo shop that have rules of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
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
from perftui.demo.pool_member import PoolMember, is_overloaded
from perftui.demo.redis_binary import find_redis_server, server_version
from perftui.demo.shop_cache import MEMORY_ITEMS, STAMPEDE_SECONDS, Values, shop_cache
from perftui.demo.shop_catalogue import card_number, create_database
from perftui.demo.shop_checkout import is_valid_card
from perftui.demo.shop_database import Customer, Discount, Product
from perftui.demo.shop_errors import NotFoundError, RejectedError
from perftui.demo.shop_metrics import RequestMeter
from perftui.demo.shop_operations import Shop
from perftui.demo.shop_pricing import LARGEST_REDUCTION, apply_discounts
from perftui.pool.keys import ServerLoad, ServerMeta

NOBODY = Path("/nonexistent/redis.sock")


class FakeRedis:
    """Takes what a heartbeat sends."""

    def __init__(self) -> None:
        self.overloaded: list[str] = []

    def sadd(self, *_: object) -> None:
        pass

    def eval(self, _script: str, count: int, *words: object) -> bytes:
        self.overloaded.append(str(words[count + 3]))
        return b"ready"


def load(cpu: float, memory: float = 10.0, requests: float = 10.0) -> ServerLoad:
    return ServerLoad(cpu, memory, requests, 0)


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


def test_thresholds_are_strict_and_the_way_back_is_longer() -> None:
    assert not is_overloaded(load(80.0, 90.0, 1000.0), was=False)
    assert is_overloaded(load(80.1), was=False)
    assert is_overloaded(load(1.0, memory=90.1), was=False)
    assert is_overloaded(load(1.0, requests=1000.1), was=False)
    member, redis = PoolMember("web-1", ServerMeta("a:1", 1, 0.0)), FakeRedis()
    for cpu in (50, 81, 75, 71, 71, 73, 71, 71, 71, 79):
        member.beat(redis, load(cpu))  # type: ignore[arg-type]
    assert "".join(redis.overloaded) == "0111111100"


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


def test_meter_counts_requests_and_measures_them_as_operations() -> None:
    meter = RequestMeter()
    with meter.measure("meter-test"):
        assert meter.in_flight == 1
    with pytest.raises(ZeroDivisionError), meter.measure("meter-test"):
        raise ZeroDivisionError
    counts = meter.metrics.counts()["meter-test"]
    assert (counts.count, counts.failures, meter.requests, meter.in_flight) == (2, 1, 2, 0)


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
