"""What code that does not await gets from get_or_load: on its own thread, counted once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from redis_fixture import RedisProcess

from perftui.cache.coherent_memory import CoherentMemory
from perftui.cache.config import CacheConfig
from perftui.cache.counters import CacheCounters, Event
from perftui.cache.manager import CacheManager
from perftui.cache.memory_tier import MemoryTier
from perftui.cache.namespaces import NamespaceTable

MEMORY_ALONE = {"redis": {"enabled": False}}


def test_a_hit_needs_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    with CacheManager(CacheConfig(None, MEMORY_ALONE), metrics=False).sync as sync:
        assert sync.get_or_load("user:1", lambda: "first", 60) == "first"
        with monkeypatch.context() as patch:
            patch.setattr(sync, "_submit", lambda work: pytest.fail("it asked the event loop"))
            assert sync.get_or_load("user:1", lambda: "second", 60) == "first"


def test_each_look_up_is_counted_once(redis_server: RedisProcess) -> None:
    config = CacheConfig(url=redis_server.url, prefix="app:")
    with CacheManager(config, metrics=False).sync as sync:
        assert sync.get_or_load("user:1", lambda: "first", 60) == "first"
        counted = sync.manager.counters.total()
        assert (counted.lookups, counted.memory_misses, counted.redis_misses) == (1, 1, 1)
        assert sync.get_or_load("user:1", lambda: "second", 60) == "first"
        counted = sync.manager.counters.total()
        # Redis tells of the load's own write too, so that either tier may answer.
        assert (counted.lookups, counted.memory_hits + counted.redis_hits) == (2, 1)
        assert counted.loads == 1


def test_a_wrong_ttl_is_refused_for_a_hit_too() -> None:
    with CacheManager(CacheConfig(None, MEMORY_ALONE), metrics=False).sync as sync:
        sync.get_or_load("user:1", lambda: "first", 60)
        with pytest.raises(ValueError, match="ttl"):
            sync.get_or_load("user:1", lambda: "first", -1)


def within(lock_holder: object, use: Callable[[], object]) -> bool:
    """Tell whether `use` ends when the thread that calls it has the lock already."""

    def run() -> None:
        with lock_holder._lock:  # type: ignore[attr-defined]
            use()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5.0)
    return not thread.is_alive()


def test_a_finaliser_may_count_while_its_thread_counts() -> None:
    counters = CacheCounters(NamespaceTable())
    assert within(counters, lambda: counters.count(b"user:1", Event.SETS))
    assert counters.total().sets == 1


def test_a_finaliser_may_drop_while_its_thread_drops() -> None:
    memory = CoherentMemory(MemoryTier())
    memory.restart(time.monotonic() + 60)
    token = memory.begin(b"k")
    assert within(memory, lambda: memory.drop((b"k",)))
    assert not memory.is_current(b"k", token)
