"""The memory tier between threads, within signal handlers and finalisers, and after a fork."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading

import pytest

from perftui.cache.memory_tier import POLICIES, MemoryTier, Policy

POLICY = pytest.mark.parametrize("policy", POLICIES)
FAR = 1e9


@POLICY
def test_threads_lose_no_count_and_break_no_limit(policy: Policy) -> None:
    tier = MemoryTier(50, 10**6, policy)
    keys = [b"k%d" % number for number in range(80)]
    for key in keys[:20]:
        tier.put(key, b"x", FAR)
    failures: list[str] = []
    lookups = 8_000

    def read(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(lookups):
            key = rng.choice(keys)
            found = tier.get(key)
            if found is not None and found.value not in (b"x", key):
                failures.append("another key's value")

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for number in range(2_000):
            key = rng.choice(keys)
            tier.put(key, key, FAR, namespace=number % 3)
            tier.drop(rng.choice(keys))
            if number % 50 == 0:
                tier.drop_matching(b"k1*")
                tier.drop_expired()
            if tier.items > 50 or tier.bytes > 10**6:
                failures.append("over the limit")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
        threads += [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures
    assert tier.hits + tier.misses == 3 * lookups
    assert tier.bytes == sum(entry.cost for entry in tier._order.entries.values())


@POLICY
def test_readers_do_not_disturb_who_looks_at_all_keys(policy: Policy) -> None:
    tier = MemoryTier(4000, 10**9, policy)
    keys = [b"k%d" % number for number in range(4000)]
    for key in keys:
        tier.put(key, b"x", FAR)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            for key in keys[:200]:
                tier.get(key)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(10):
            assert tier.drop_matching(b"k*[x]") == 0
            assert tier.drop_expired() == 0
    finally:
        stop.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert tier.items == 4000


class Interrupting:
    """Calls something in the middle of a change, when the tier asks for the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.what: list[object] = []

    def __call__(self) -> float:
        if self.what:
            act = self.what.pop()
            assert callable(act)
            act()
        return self.now


@POLICY
def test_a_change_within_a_change_is_made_after_it(policy: Policy) -> None:
    clock = Interrupting()
    tier = MemoryTier(10, 10**6, policy, clock)
    seen: list[bool] = []
    clock.what.append(lambda: seen.append(tier.put(b"a", b"from within", FAR)))
    assert tier.put(b"a", b"outer", FAR)
    assert seen == [False]
    entry = tier.get(b"a")
    assert entry is not None
    assert entry.value == b"from within"
    assert tier.items == 1
    assert tier.bytes == entry.cost


@POLICY
def test_a_value_that_came_while_the_old_one_ended_stays(policy: Policy) -> None:
    clock = Interrupting()
    tier = MemoryTier(10, 10**6, policy, clock)
    tier.put(b"a", b"old", 1000.5)

    def replace() -> None:
        tier.put(b"a", b"new", FAR)
        clock.now = 1001.0

    clock.what.append(replace)
    assert tier.get(b"a") is None
    entry = tier.get(b"a")
    assert entry is not None
    assert entry.value == b"new"


def test_a_value_that_is_dropped_while_it_is_found_is_no_hit() -> None:
    clock = Interrupting()
    tier = MemoryTier(10, 10**6, "lru", clock)
    tier.put(b"a", b"x", FAR)
    clock.what.append(lambda: tier.drop(b"a"))
    assert tier.get(b"a") is None
    assert (tier.hits, tier.misses) == (0, 1)


@POLICY
def test_an_interrupted_change_leaves_an_empty_tier_and_not_a_wrong_one(policy: Policy) -> None:
    clock = Interrupting()
    tier = MemoryTier(10, 10**6, policy, clock)
    tier.put(b"a", b"x", FAR)

    def interrupt() -> None:
        raise KeyboardInterrupt

    clock.what.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        tier.put(b"b", b"x", FAR)
    assert (tier.items, tier.bytes) == (0, 0)
    assert tier.put(b"c", b"x", FAR)
    assert tier.items == 1


def test_a_finaliser_may_use_the_tier_while_it_changes() -> None:
    tier = MemoryTier(100, 10**6)

    class Friend:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            tier.put(b"friend", b"x", FAR)
            tier.drop(b"friend")

    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for number in range(500):
            Friend()
            tier.put(b"%d" % number, b"x", FAR)
    finally:
        gc.set_threshold(*threshold)
    assert tier.items <= 100
    assert tier.bytes == sum(entry.cost for entry in tier._order.entries.values())


def test_a_forked_child_begins_empty_and_can_go_on() -> None:
    tier = MemoryTier(10, 10**6)
    tier.put(b"a", b"x", FAR)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with tier._lock:
            holding.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait(20)
    child = os.fork()
    if child == 0:
        # A lock that nobody will ever release would keep it waiting for good.
        signal.alarm(10)
        empty = tier.items == 0 and tier.bytes == 0
        os._exit(0 if empty and tier.put(b"b", b"x", FAR) else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert tier.items == 1
