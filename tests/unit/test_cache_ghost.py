"""What memory of twice the size would answer, told from the keys that were evicted last."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from perftui.cache import ghost_list
from perftui.cache.counters import CacheCounters
from perftui.cache.entry import Entry, Tally
from perftui.cache.ghost_list import GhostList
from perftui.cache.memory_tier import MemoryTier, Policy
from perftui.cache.namespaces import NamespaceTable

FAR = 1e12
PLENTY = 10**12
LOOKUPS = 30_000


def zipf(skew: float, keys: int = 10_000) -> Iterator[bytes]:
    """Yield keys as they are asked for where the r-th most popular one is so r^-skew often."""
    weights = [(rank + 1) ** -skew for rank in range(keys)]
    for key in random.Random(5).choices(range(keys), weights, k=LOOKUPS):
        yield b"key:%d" % key


@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
@pytest.mark.parametrize("skew", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("most", [10_000, 125])
def test_the_estimate_is_within_two_points_of_a_real_tier(
    policy: Policy, skew: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ghost_list, "MOST_KEYS", most)
    # Which keys are sampled depends on the hash, which is another one in each run of Python.
    monkeypatch.setattr(ghost_list, "hash", lambda key: int(key[4:]) * 2654435761 >> 7, False)
    small = MemoryTier(1000, PLENTY, policy, ghost=True)
    large = MemoryTier(2000, PLENTY, policy)
    for key in zipf(skew):
        for tier in (small, large):
            if tier.get(key) is None:
                tier.put(key, b"x", FAR)
    assert small.hit_ratio_if_doubled == pytest.approx(large.hits / LOOKUPS, abs=0.02)
    # It says something: the larger tier is clearly better.
    assert large.hits - small.hits > 0.02 * LOOKUPS
    assert small._ghost is not None
    assert 0 < len(small._ghost) <= most


def test_a_limit_in_bytes_is_doubled_as_well() -> None:
    small, large = MemoryTier(PLENTY, 300_000, ghost=True), MemoryTier(PLENTY, 600_000)
    for key in zipf(1.0):
        for tier in (small, large):
            if tier.get(key) is None:
                tier.put(key, b"x" * (int(key[4:]) % 90), FAR)
    assert small.hit_ratio_if_doubled == pytest.approx(large.hits / LOOKUPS, abs=0.02)


def test_a_large_tier_remembers_a_sample_that_stands_for_all() -> None:
    items = 20 * ghost_list.MOST_KEYS
    ghosts, tally = GhostList(items, PLENTY), Tally(0)
    for number in range(items):
        ghosts.add(b"%d" % number, Entry(b"x", FAR, 300, tally))
    assert 0.4 * ghost_list.MOST_KEYS < len(ghosts) <= ghost_list.MOST_KEYS
    for number in range(items):
        ghosts.ask(b"%d" % number, 0.0)
    assert tally.ghost_hits == pytest.approx(items, rel=0.1)


def test_ghosts_are_counted_under_their_namespace() -> None:
    tier = MemoryTier(1, PLENTY, ghost=True)
    counters = CacheCounters(NamespaceTable(), tier)
    number = counters.namespaces.number
    for key in (b"user:1", b"order:1", b"user:2"):
        tier.put(key, b"x", FAR, number(key))
    # Only the newest of those evicted is remembered, as many as there is room for.
    assert tier.get(b"user:1") is None
    assert tier.get(b"order:1") is None
    counts = {each.namespace: each.memory_ghost_hits for each in counters.by_namespace()}
    assert counts == {"user": 0, "order": 1}
    assert counters.snapshot()["order"].memory_ghost_hits == 1


def test_the_knowledge_that_there_is_nothing_is_no_hit() -> None:
    tier = MemoryTier(1, PLENTY, ghost=True)
    tier.put(b"a", None, FAR)
    tier.put(b"b", b"x", FAR)
    assert tier.get(b"a") is None
    assert (tier.ghost_hits, tier.hit_ratio_if_doubled) == (0, 0.0)
    tier.put(b"c", b"x", FAR)
    assert tier.get(b"b") is None
    assert (tier.ghost_hits, tier.hit_ratio_if_doubled) == (1, 0.5)
