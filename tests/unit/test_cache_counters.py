"""Counts of a cache by namespace, as a Reporter publishes them and as Prometheus scrapes them."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest

from perftui.cache.counters import CacheCounters, Event
from perftui.cache.memory_tier import MemoryTier
from perftui.cache.metrics import export, forget, refresh
from perftui.cache.namespaces import MOST_NAMESPACES, OTHER, UNNAMED, NamespaceTable
from perftui.metrics.report import CacheCounts, CacheState

ROOT = Path(__file__).parents[2]
FAR = 1e12


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"shop:user:42", "user"),
        (b"shop:user:", "user"),
        (b"shop:42", UNNAMED),
        (b"shop::42", UNNAMED),
        (b"shop:", UNNAMED),
        (b"user:42", "user"),
        (b"shop:" + b"x" * 100 + b":1", "x" * 100),
        (b"shop:" + b"x" * 101 + b":1", UNNAMED),
        (b"shop:\xff\x00:1", "\\xff\\x00"),
        ("shop:größe:1".encode(), "größe"),
        (b"shop:\x1b[31m:1", "\\x1b[31m"),
        (b"shop:_other:1", OTHER),
    ],
)
def test_a_namespace_is_what_comes_before_the_separator(key: bytes, name: str) -> None:
    table = NamespaceTable(b"shop:")
    assert table.name(table.number(key)) == name


def test_names_of_other_bytes_are_other_names() -> None:
    table = NamespaceTable()
    numbers = {table.number(key) for key in (b"\xff:1", b"\\xff:1", b"\\\\xff:1")}
    assert len(numbers) == 3
    assert len({table.name(number) for number in numbers}) == 3


def test_there_are_at_most_two_hundred_namespaces_and_others() -> None:
    table = NamespaceTable()
    numbers = [table.number(b"%d:x" % number) for number in range(500)]
    assert {table.name(number) for number in numbers[MOST_NAMESPACES:]} == {OTHER}
    assert len(set(numbers)) == MOST_NAMESPACES + 1
    assert len(table.names()) == MOST_NAMESPACES + 2
    assert [table.number(b"%d:x" % number) for number in range(500)] == numbers


@given(key=st.binary(), prefix=st.binary(max_size=3), separator=st.binary(min_size=1, max_size=2))
def test_every_key_has_a_printable_namespace(key: bytes, prefix: bytes, separator: bytes) -> None:
    table = NamespaceTable(prefix, separator)
    number = table.number(key)
    assert number == table.number(key)
    name = table.name(number)
    assert name
    assert name.isprintable()
    assert name.encode("utf-8")


def test_a_separator_is_needed() -> None:
    with pytest.raises(ValueError, match="separator"):
        NamespaceTable(separator=b"")


def used_cache() -> CacheCounters:
    """Return counters of a cache in which something of every kind has happened."""
    tier = MemoryTier(2, 10**6)
    counters = CacheCounters(NamespaceTable(), tier)
    user = counters.namespaces.number(b"user:1")
    tier.put(b"user:1", b"x", FAR, user)
    tier.put(b"user:gone", None, FAR, user)
    for key in (b"user:1", b"user:1", b"user:gone", b"user:2"):
        tier.get(key)
    counters.add(user, Event.MEMORY_MISSES)
    counters.add(user, Event.REDIS_HITS)
    for number, event in enumerate(Event):
        if event > Event.REDIS_HITS:
            counters.count(b"order:1", event, number)
    counters.count(b"order:1", Event.BYPASSES, 5)
    tier.put(b"order:2", b"y", FAR, counters.namespaces.number(b"order:2"))
    return counters


def test_everything_is_counted_under_its_namespace() -> None:
    user, order = used_cache().by_namespace()
    assert (user.namespace, order.namespace) == ("user", "order")
    assert (user.memory_hits, user.memory_negatives, user.memory_misses) == (2, 1, 1)
    assert (user.memory_sets, user.memory_items, user.memory_evictions) == (2, 1, 1)
    assert (user.redis_hits, user.lookups, user.hit_ratio) == (1, 4, 0.75)
    assert (order.memory_items, order.memory_bytes, order.bypasses) == (1, 256 + 8, 5)
    assert (order.redis_misses, order.redis_errors, order.codec_errors) == (3, 4, 5)
    assert (order.sets, order.deletes, order.invalidations) == (6, 7, 8)
    assert (order.loads, order.load_errors, order.loads_shared) == (9, 10, 11)
    total = used_cache().total()
    assert (total.namespace, total.memory_hits, total.redis_misses) == ("", 2, 3)
    assert total.memory_bytes == user.memory_bytes + order.memory_bytes
    assert CacheCounters(NamespaceTable()).total().hit_ratio is None
    assert CacheCounters(NamespaceTable()).by_namespace() == ()


def test_a_report_counts_as_hits_only_what_brought_a_value() -> None:
    counters = used_cache()
    assert counters.snapshot() == {
        "user": CacheCounts(2, 2, 1, 0, 1, 265, 1, 0, None, 0, 0, 0, 0),
        "order": CacheCounts(0, 5, 0, 3, 1, 264, 0, 0, None, 4, 5, 9, 10),
    }
    alone = CacheCounters(NamespaceTable())
    alone.count(b"a:1", Event.BYPASSES)
    assert alone.snapshot() == {"a": CacheCounts(0, 0, 0, 0, 0, 0, 0, 0, None, 0, 0, 0, 0)}


def test_threads_lose_no_count() -> None:
    counters = CacheCounters(NamespaceTable())

    def work() -> None:
        for number in range(5_000):
            counters.count(b"%d:x" % (number % 7), Event.SETS)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert counters.total().sets == 20_000


def value(registry: CollectorRegistry, name: str, tier: str, namespace: str) -> float | None:
    registry.collect()
    generate_latest(registry)
    return registry.get_sample_value(
        f"perftui_cache_{name}", {"tier": tier, "namespace": namespace}
    )


def test_a_scrape_shows_what_was_counted_until_then() -> None:
    registry = CollectorRegistry()
    counters = used_cache()
    export(counters, registry)
    expected = {
        ("hits_total", "memory", "user"): 2,
        ("hits_total", "redis", "user"): 1,
        ("misses_total", "memory", "user"): 1,
        ("misses_total", "redis", "order"): 3,
        ("negative_hits_total", "memory", "user"): 1,
        ("bypasses_total", "memory", "order"): 5,
        ("sets_total", "memory", "user"): 2,
        ("sets_total", "redis", "order"): 6,
        ("deletes_total", "redis", "order"): 7,
        ("invalidations_total", "redis", "order"): 8,
        ("errors_total", "redis", "order"): 4,
        ("codec_errors_total", "redis", "order"): 5,
        ("evictions_total", "memory", "user"): 1,
        ("expirations_total", "memory", "user"): 0,
        ("loads_total", "overall", "order"): 9,
        ("load_errors_total", "overall", "order"): 10,
        ("loads_shared_total", "overall", "order"): 11,
        ("items", "memory", "user"): 1,
        ("bytes", "memory", "order"): 264,
    }
    for (name, tier, namespace), number in expected.items():
        assert value(registry, name, tier, namespace) == number, name
    counters.count(b"order:1", Event.SETS)
    assert value(registry, "sets_total", "redis", "order") == 7
    page = generate_latest(registry.restricted_registry(["perftui_cache_sets_total"])).decode()
    assert 'perftui_cache_sets_total{namespace="order",tier="redis"} 7.0' in page


def test_caches_of_one_registry_are_added_up() -> None:
    registry = CollectorRegistry()
    first, second = used_cache(), used_cache()
    export(first, registry)
    export(second, registry)
    export(second, registry)
    assert value(registry, "hits_total", "memory", "user") == 4
    assert value(registry, "items", "memory", "order") == 2
    second.count(b"order:1", Event.SETS)
    forget(second)
    second.count(b"order:1", Event.SETS)
    assert value(registry, "sets_total", "redis", "order") == 13
    assert value(registry, "items", "memory", "order") == 1
    refresh(second)
    forget(second)
    assert value(registry, "sets_total", "redis", "order") == 13
    del first
    gc.collect()
    assert value(registry, "items", "memory", "order") == 0
    assert value(registry, "hits_total", "memory", "user") == 4


def test_how_caches_stand_is_added_up_by_prefix() -> None:
    registry = CollectorRegistry()
    first, second = used_cache(), used_cache()
    states = {
        first: CacheState("shop:", ":", "live", lag=0.001, lost=1, max_items=10, max_bytes=100),
        second: CacheState("shop:", ":", "lost", lag=0.003, lost=2, max_items=5, max_bytes=50),
    }
    for cache in (first, second):
        cache.state = lambda cache=cache: states[cache]  # type: ignore[misc]
        export(cache, registry)

    def told(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"perftui_cache_{name}", {"prefix": "shop:"} | labels)

    assert [told("coherence_state", state=s) for s in ("off", "syncing", "live", "lost")] == [
        0, 0, 1, 1,
    ]  # fmt: skip
    assert told("coherence_lag_seconds") == 0.003
    assert (told("limit_items"), told("limit_bytes")) == (15, 150)
    assert told("coherence_lost_total") == 3
    states[second] = CacheState("shop:", ":", "live", lost=4, max_items=5, max_bytes=50)
    assert told("coherence_lost_total") == 5
    assert told("coherence_lag_seconds") == 0.001
    # A fork begins to count anew, and a cache that is not in use has no state.
    states[second] = CacheState("shop:", ":", "live", lost=0)
    assert told("coherence_lost_total") == 5
    states[first] = states[second] = CacheState("shop:", ":")
    for name in ("coherence_lag_seconds", "limit_items", "limit_bytes"):
        assert told(name) is None
    assert told("coherence_state", state="live") is None


def test_exporting_elsewhere_leaves_the_registry_before() -> None:
    before, after = CollectorRegistry(), CollectorRegistry()
    counters = used_cache()
    export(counters, before)
    export(counters, after)
    assert value(before, "items", "memory", "user") == 0
    assert value(before, "hits_total", "memory", "user") == 2
    assert value(after, "items", "memory", "user") == 1


def test_a_name_that_somebody_else_has_is_said_and_nothing_is_left_behind() -> None:
    registry = CollectorRegistry()
    Counter("perftui_cache_loads", "Mine.", registry=registry)
    with pytest.raises(ValueError, match=r"perftui_cache_loads.*registry=CollectorRegistry"):
        export(used_cache(), registry)
    assert "perftui_cache_hits" not in generate_latest(registry).decode()


WORKER = """
import os, signal, sys, time
from perftui.cache import metrics
from perftui.cache.counters import CacheCounters, Event
from perftui.cache.memory_tier import MemoryTier
from perftui.cache.namespaces import NamespaceTable
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

metrics.FILE_INTERVAL = 0.02
tier = MemoryTier(10, 10_000)
counters = CacheCounters(NamespaceTable(), tier)
metrics.export(counters)
counters.count(b"user:1", Event.LOADS, 3)
metrics.refresh(counters)
child = os.fork()
tier.put(b"user:1", b"x", 1e12, counters.namespaces.number(b"user:1"))
counters.count(b"user:1", Event.LOADS, 4)
if not child:
    signal.pause()
deadline = time.monotonic() + 20
page = ""
while 'tier="overall"} 11.0' not in page and time.monotonic() < deadline:
    time.sleep(0.02)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    page = generate_latest(registry).decode()
os.kill(child, 9)
os.waitpid(child, 0)
sys.stdout.write(page)
"""


def test_processes_of_prometheus_multi_process_mode_are_added_up(tmp_path: Path) -> None:
    page = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert 'perftui_cache_loads_total{namespace="user",tier="overall"} 11.0' in page
    assert 'perftui_cache_items{namespace="user",tier="memory"} 2.0' in page


def test_importing_the_memory_half_loads_nothing_heavy() -> None:
    code = (
        "import sys, perftui.cache.config, perftui.cache.metrics, perftui.cache.counters;"
        "print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    heavy = {"redis", "prometheus_client", "psutil", "textual", "rich", "asyncio"}
    assert not heavy & set(run.stdout.split())
