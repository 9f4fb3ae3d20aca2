"""The memory tier: what it keeps, what it drops, and what it counts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui.cache.entry import Entry
from perftui.cache.glob import matcher
from perftui.cache.memory_tier import POLICIES, MemoryTier, Policy
from perftui.cache.s3fifo import S3FifoOrder

POLICY = pytest.mark.parametrize("policy", POLICIES)
FAR = 1e9


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@POLICY
def test_a_value_is_there_until_its_deadline(policy: Policy) -> None:
    clock = Clock()
    tier = MemoryTier(10, 10_000, policy, clock)
    assert tier.put(b"a", b"value", clock.now + 5, namespace=3)
    clock.now += 4.999
    found = tier.get(b"a")
    assert found is not None
    assert (found.value, found.namespace) == (b"value", 3)
    clock.now += 0.001
    assert tier.get(b"a") is None
    assert (tier.items, tier.bytes) == (0, 0)
    assert (tier.hits, tier.misses, tier.expirations, tier.evictions) == (1, 1, 1, 0)


@POLICY
def test_an_expired_value_is_no_hit_however_often_it_is_asked_for(policy: Policy) -> None:
    clock = Clock()
    tier = MemoryTier(10, 10_000, policy, clock)
    tier.put(b"a", b"value", clock.now + 1)
    clock.now += 1
    assert [tier.get(b"a") for _ in range(3)] == [None] * 3
    assert (tier.hits, tier.misses, tier.expirations) == (0, 3, 1)


@POLICY
def test_a_value_that_ended_already_takes_the_place_of_one_that_did_not(policy: Policy) -> None:
    clock = Clock()
    tier = MemoryTier(10, 10_000, policy, clock)
    tier.put(b"a", b"old", FAR)
    assert not tier.put(b"a", b"new", clock.now)
    assert tier.get(b"a") is None
    assert tier.bytes == 0


@POLICY
def test_a_value_that_is_too_large_takes_the_place_of_one_that_was_not(policy: Policy) -> None:
    tier = MemoryTier(10, 10_000, policy)
    assert tier.put(b"a", b"x" * (2500 - tier.overhead - 1), FAR)
    assert not tier.put(b"a", b"x" * (2500 - tier.overhead), FAR)
    assert tier.get(b"a") is None


@POLICY
def test_knowing_that_a_key_is_absent_is_neither_hit_nor_miss(policy: Policy) -> None:
    tier = MemoryTier(10, 10_000, policy)
    tier.put(b"a", None, FAR, namespace=1)
    entry = tier.get(b"a")
    assert entry is not None
    assert entry.value is None
    assert (tier.hits, tier.misses, tier.negatives) == (0, 0, 1)
    tier.put(b"a", b"", FAR, namespace=1)
    entry = tier.get(b"a")
    assert entry is not None
    assert entry.value == b""
    assert (tier.hits, tier.negatives) == (1, 1)


def test_lru_evicts_what_was_not_asked_for_the_longest() -> None:
    tier = MemoryTier(3, 10**6)
    for key in (b"a", b"b", b"c"):
        tier.put(key, b"x", FAR)
    tier.get(b"a")
    tier.put(b"b", b"y", FAR)
    tier.put(b"d", b"x", FAR)
    assert [key for key in (b"a", b"b", b"c", b"d") if tier.get(key)] == [b"a", b"b", b"d"]
    assert tier.evictions == 1


def test_room_is_made_by_bytes_too() -> None:
    tier = MemoryTier(1000, 4000)
    for number in range(4):
        tier.put(b"%d" % number, b"x" * (1000 - tier.overhead - 1), FAR)
    assert (tier.items, tier.bytes, tier.evictions) == (4, 4000, 0)
    tier.put(b"0", b"", FAR)
    assert tier.bytes == 3000 + tier.overhead + 1
    tier.put(b"4", b"x" * (1000 - tier.overhead - 1), FAR)
    assert tier.evictions == 1
    assert tier.bytes <= 4000


def test_what_has_ended_leaves_as_expired_and_not_as_evicted() -> None:
    clock = Clock()
    tier = MemoryTier(2, 10**6, clock=clock)
    tier.put(b"a", b"x", clock.now + 1)
    tier.put(b"b", b"x", FAR)
    clock.now += 2
    tier.put(b"c", b"x", FAR)
    assert (tier.evictions, tier.expirations) == (0, 1)
    tier.put(b"d", b"x", clock.now + 1)
    clock.now += 2
    assert tier.drop_expired() == 1
    assert (tier.evictions, tier.expirations, tier.items) == (1, 2, 1)


@POLICY
def test_what_has_ended_gives_way_before_what_has_not(policy: Policy) -> None:
    clock = Clock()
    tier = MemoryTier(100, 10**6, policy, clock)
    for number in range(50):
        tier.put(b"short:%d" % number, b"x", clock.now + 1)
    for number in range(50):
        tier.put(b"long:%d" % number, b"x", FAR)
        tier.get(b"short:%d" % number)
    clock.now += 2
    # Nobody asks for what has ended, and nobody reads how much there is.
    for number in range(50):
        tier.put(b"new:%d" % number, b"x", FAR)
    assert (tier.evictions, tier.expirations) == (0, 50)
    assert len(tier._order.entries) == 100


@POLICY
def test_few_writes_are_enough_to_find_what_has_ended(policy: Policy) -> None:
    clock = Clock()
    tier = MemoryTier(10_000, 10**9, policy, clock)
    for number in range(1000):
        tier.put(b"%d" % number, b"x", clock.now + 1 + number % 7)
    clock.now += 10
    for _ in range(1000):
        tier.put(b"same", b"x", clock.now + 5)
    assert (tier.expirations, len(tier._order.entries)) == (1000, 1)


@POLICY
def test_numbers_do_not_speak_of_what_has_ended(policy: Policy) -> None:
    clock = Clock()
    tier = MemoryTier(10_000, 10**9, policy, clock)
    for number in range(3000):
        tier.put(b"%d" % number, b"x", clock.now + 1 + number % 3, namespace=1)
    clock.now += 1
    assert tier.items == 2000
    # In the middle of a round something comes that ends before it does.
    clock.now += 1
    tier.drop_expired(10)
    tier.put(b"soon", b"x", clock.now + 0.5)
    clock.now += 0.5
    assert tier.bytes == sum(entry.cost for entry in tier._order.entries.values())
    assert tier.items == 1000
    clock.now += 1
    assert sum(pair[0].items for pair in tier.tallies()) == 0
    assert tier.bytes == 0


@POLICY
def test_a_pattern_drops_values_and_absences(policy: Policy) -> None:
    tier = MemoryTier(100, 10**6, policy)
    for key in (b"user:1", b"user:\xff", b"user:[x]", b"order:1", b"user"):
        tier.put(key, b"x", FAR)
    tier.put(b"user:none", None, FAR)
    assert tier.drop_matching(b"user:\\[x\\]") == 1
    assert tier.drop_matching(b"user:*") == 3
    assert tier.get(b"user:none") is None
    assert tier.items == 2
    assert tier.drop_matching(b"user") == 1
    assert not tier.drop(b"user:1")
    assert tier.drop(b"order:1")
    assert tier.clear() == 0
    assert tier.bytes == 0


KEYS = st.sampled_from([b"k%d" % number for number in range(12)])
CHANGES = st.one_of(
    st.tuples(st.just("put"), KEYS, st.integers(0, 900), st.integers(-1, 30)),
    st.tuples(st.just("absent"), KEYS, st.just(0), st.integers(1, 30)),
    st.tuples(st.just("get"), KEYS, st.just(0), st.just(0)),
    st.tuples(st.just("drop"), KEYS, st.just(0), st.just(0)),
    st.tuples(
        st.just("match"), st.sampled_from([b"k1*", b"*", b"k?", b"k1"]), st.just(0), st.just(0)
    ),
    st.tuples(st.just("wait"), st.just(b""), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("sweep"), st.just(b""), st.just(0), st.just(0)),
)


@POLICY
@given(
    changes=st.lists(CHANGES, max_size=60),
    max_items=st.integers(1, 6),
    max_bytes=st.integers(300, 6000),
)
@settings(max_examples=150, deadline=None)
def test_limits_and_accounts_hold_after_every_change(
    policy: Policy, changes: list[tuple[str, bytes, int, int]], max_items: int, max_bytes: int
) -> None:
    clock = Clock()
    tier = MemoryTier(max_items, max_bytes, policy, clock, ghost=True)
    newest: dict[bytes, tuple[bytes | None, float]] = {}
    lookups = 0
    for what, key, amount, seconds in changes:
        if what in ("put", "absent"):
            value = b"v" * amount if what == "put" else None
            deadline = clock.now + seconds
            kept = tier.put(key, value, deadline, namespace=key[-1] % 3)
            cost = len(key) + amount + tier.overhead
            assert kept == (seconds > 0 and 4 * cost <= max_bytes)
            newest.pop(key, None)
            if kept:
                newest[key] = (value, deadline)
        elif what == "get":
            found = tier.get(key)
            lookups += 1
            if found is not None:
                assert newest[key] == (found.value, found.deadline)
                assert found.deadline > clock.now
        elif what == "drop":
            tier.drop(key)
            newest.pop(key, None)
        elif what == "match":
            tier.drop_matching(key)
            newest = {name: each for name, each in newest.items() if not matcher(key)(name)}
        elif what == "wait":
            clock.now += amount
        else:
            tier.drop_expired()
        items = tier.items
        held = {name: entry for name in newest if (entry := peek(tier, name)) is not None}
        assert items == len(held) <= max_items
        assert all(entry.deadline > clock.now for entry in held.values())
        assert tier.bytes == sum(entry.cost for entry in held.values()) <= max_bytes
        tallies = [tally for pair in tier.tallies() for tally in pair]
        assert sum(tally.items for tally in tallies) == tier.items
        assert sum(tally.bytes for tally in tallies) == tier.bytes
        if isinstance(tier._order, S3FifoOrder):
            small = [entry.cost for entry in held.values() if not entry.in_main]
            assert tier._order._small_bytes == sum(small)
            assert len(tier._order._small) == len(small)
            assert len(tier._order._main) == len(held) - len(small)
        left = tier.evictions + tier.expirations
        assert sum(tally.sets for tally in tallies) >= tier.items + left
        assert tier.hits + tier.negatives + tier.misses == lookups
    tier.clear()
    assert (tier.items, tier.bytes) == (0, 0)


def peek(tier: MemoryTier, key: bytes) -> Entry | None:
    """Return an entry without asking for it."""
    return tier._order.entries.get(key)


def zipf_trace(length: int, keys: int) -> Iterator[bytes]:
    rng = random.Random(3)
    weights = [1 / (rank + 1) for rank in range(keys)]
    for key in rng.choices(range(keys), weights, k=length):
        yield b"key:%d" % key


def test_the_estimate_for_twice_the_size_is_what_twice_the_size_does() -> None:
    small, large = MemoryTier(100, 10**9, ghost=True), MemoryTier(200, 10**9)
    for key in zipf_trace(20_000, 1000):
        for tier in (small, large):
            if tier.get(key) is None:
                tier.put(key, b"x", FAR)
        if key.endswith(b"7"):
            assert small.drop(key)
            assert large.drop(key)
    assert small.hit_ratio_if_doubled == large.hits / 20_000
    assert small.hits < large.hits
    assert large.hit_ratio_if_doubled is None


def test_nothing_is_estimated_from_what_would_have_ended_or_been_dropped() -> None:
    clock = Clock()
    tier = MemoryTier(1, 10**6, clock=clock, ghost=True)
    assert tier.hit_ratio_if_doubled is None
    tier.put(b"a", b"x", clock.now + 5)
    tier.put(b"b", b"x", FAR)
    assert tier.get(b"a") is None
    assert tier.ghost_hits == 1
    clock.now += 5
    tier.get(b"a")
    assert tier.ghost_hits == 1
    for forget in (lambda: tier.drop(b"b"), lambda: tier.drop_matching(b"b*"), tier.clear):
        tier.put(b"b", b"x", FAR)
        tier.put(b"c", b"x", FAR)
        forget()
        assert tier.get(b"b") is None
        assert tier.ghost_hits == 1


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="0 items"):
        MemoryTier(0)
    with pytest.raises(ValueError, match="use one of lru, s3fifo"):
        MemoryTier(policy="lfu")  # type: ignore[arg-type]


def test_a_change_that_is_broken_off_takes_those_that_wait_with_it() -> None:
    tier = MemoryTier(10, 10_000)

    def interrupted() -> int:
        # As from a signal handler in the middle of a change.
        tier.put(b"key", b"old", math.inf)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tier._change(interrupted)
    tier.drop(b"key")
    assert tier.get(b"key") is None
