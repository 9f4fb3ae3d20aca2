"""S3-FIFO finds at least what LRU finds, and its order is that of its paper."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from perftui.cache.memory_tier import MemoryTier, Policy

FAR = 1e12
ITEMS = 100
REQUESTS = 30_000


def zipf(exponent: float, keys: int) -> Iterator[int]:
    rng = random.Random(11)
    weights = [(rank + 1) ** -exponent for rank in range(keys)]
    yield from rng.choices(range(keys), weights, k=REQUESTS)


def scanned() -> Iterator[int]:
    rng = random.Random(12)
    once = itertools.count(10**6)
    for key in zipf(1.0, 1000):
        yield next(once) if rng.random() < 0.2 else key


def drifting() -> Iterator[int]:
    for number, key in enumerate(zipf(1.0, 1000)):
        yield key + number // 100


WORKLOADS = {
    "zipf 0.8": lambda: zipf(0.8, 1000),
    "zipf 1.0": lambda: zipf(1.0, 1000),
    "zipf 1.0 of many": lambda: zipf(1.0, 10_000),
    "zipf 1.2 of many": lambda: zipf(1.2, 10_000),
    "zipf and a scan": scanned,
    "drifting": drifting,
    "loop": lambda: itertools.islice(itertools.cycle(range(150)), REQUESTS),
}


def hits(policy: Policy, workload: str) -> int:
    tier = MemoryTier(ITEMS, 10**9, policy)
    for number in WORKLOADS[workload]():
        key = b"%d" % number
        if tier.get(key) is None:
            tier.put(key, b"x", FAR)
    return tier.hits


@pytest.mark.parametrize("workload", WORKLOADS)
def test_s3fifo_never_finds_less_than_lru(workload: str) -> None:
    assert hits("s3fifo", workload) >= hits("lru", workload)


def present(tier: MemoryTier, *keys: bytes) -> list[bytes]:
    return [key for key in keys if key in tier._order.entries]


def test_a_scan_does_not_displace_what_is_asked_for() -> None:
    tier = MemoryTier(100, 10**9, "s3fifo")
    wanted = [b"w%d" % number for number in range(60)]
    for key in wanted:
        tier.put(key, b"x", FAR)
        for _ in range(2):
            tier.get(key)
    for number in range(1000):
        tier.put(b"scan%d" % number, b"x", FAR)
    assert present(tier, *wanted) == wanted


def test_a_key_that_returns_soon_enters_the_main_queue() -> None:
    tier = MemoryTier(10, 10**9, "s3fifo")
    for number in range(11):
        tier.put(b"%d" % number, b"x", FAR)
    assert present(tier, b"0") == []
    tier.put(b"0", b"x", FAR)
    for number in range(20, 40):
        tier.put(b"%d" % number, b"x", FAR)
    assert present(tier, b"0") == [b"0"]


def test_a_replaced_value_keeps_its_place() -> None:
    tier = MemoryTier(10, 10**9, "s3fifo")
    tier.put(b"hot", b"x", FAR)
    for _ in range(3):
        tier.get(b"hot")
    tier.put(b"hot", b"longer than before", FAR)
    for number in range(100):
        tier.put(b"%d" % number, b"x", FAR)
    assert present(tier, b"hot") == [b"hot"]
    assert tier.bytes == sum(entry.cost for entry in tier._order.entries.values())
