"""The pieces of the demo shop that have rules of their own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.demo.child import describe_end
from perftui.demo.load_curve import HIGHEST_RATE, LOWEST_RATE, rate_at
from perftui.demo.messages import LONGEST_REASON, PartState, PartStatus, encode_line
from perftui.demo.pool_member import PoolMember, is_overloaded
from perftui.demo.redis_binary import find_redis_server, server_version
from perftui.demo.shop_cache import MEMORY_ITEMS, MemoryTier, Namespace, RedisTier
from perftui.demo.shop_catalogue import card_number, create_database
from perftui.demo.shop_checkout import is_valid_card
from perftui.demo.shop_database import Customer, Discount, Product
from perftui.demo.shop_metrics import RequestMeter
from perftui.demo.shop_operations import NotFoundError, RejectedError, Shop
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


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    database = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    create_database(database)
    return Shop(database, RedisTier(NOBODY, "test"))


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
    counts = shop.cache_counts()["shop:product"]
    assert counts.redis_hits == counts.redis_misses == 0
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


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 100)), max_size=60))
def test_memory_tier_counts_what_it_holds(puts: list[tuple[int, int]]) -> None:
    tier: MemoryTier[int, str] = MemoryTier(4)
    held: dict[int, int] = {}
    for name, size in puts:
        tier.put(name, "value", size, until=10.0)
        held.pop(name, None)
        held[name] = size
        if len(held) > 4:
            del held[next(iter(held))]
    assert len(tier) == len(held)
    assert tier.size == sum(held.values())
    assert all(tier.get(name, now=10.0) is None for name in held)
    assert tier.size == len(tier) == 0


def test_namespace_loads_once_and_does_not_cache_what_is_not_there() -> None:
    asked: list[int] = []

    def find(number: int) -> str | None:
        asked.append(number)
        return None if number == 404 else f"value {number}"

    values: Namespace[int, str] = Namespace("shop:test", str, RedisTier(NOBODY, "test"), find)
    assert values.get_many([1, 2, 1, 404]) == {1: "value 1", 2: "value 2"}
    assert values.get(1) == "value 1"
    assert values.get(404) is None
    assert asked == [1, 2, 404, 404]
    for number in range(1000, 1000 + MEMORY_ITEMS):
        values.get(number)
    assert values.counts().memory_items == MEMORY_ITEMS
    assert values.counts().memory_evictions == 2


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
