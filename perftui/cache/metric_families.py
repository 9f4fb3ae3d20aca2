"""The Prometheus metrics of caches, brought up to date by each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias
from weakref import WeakKeyDictionary

from prometheus_client import Counter, Gauge, Metric
from prometheus_client.metrics import MetricWrapperBase

from perftui.cache.coherence_families import StateSeries
from perftui.cache.counters import CacheCounters, NamespaceCounts
from perftui.metrics.registration import LOCK, OnePerRegistry

LABELS = ("tier", "namespace")
Reading: TypeAlias = dict[str, Callable[[NamespaceCounts], int]]
"""For each tier how its number is read."""

_COUNTERS: tuple[tuple[str, str, Reading], ...] = (
    (
        "hits",
        "Look-ups that a tier answered with a value.",
        {"memory": lambda n: n.memory_hits, "redis": lambda n: n.redis_hits},
    ),
    (
        "misses",
        "Look-ups that a tier had nothing for.",
        {"memory": lambda n: n.memory_misses, "redis": lambda n: n.redis_misses},
    ),
    (
        "negative_hits",
        "Look-ups answered by the knowledge that there is no value.",
        {"memory": lambda n: n.memory_negatives},
    ),
    (
        "bypasses",
        "Look-ups that went past memory because changes could have been missed.",
        {"memory": lambda n: n.bypasses},
    ),
    (
        "sets",
        "Values written.",
        {"memory": lambda n: n.memory_sets, "redis": lambda n: n.sets},
    ),
    ("deletes", "Keys deleted by name.", {"redis": lambda n: n.deletes}),
    ("invalidations", "Keys deleted by pattern.", {"redis": lambda n: n.invalidations}),
    (
        "errors",
        "Questions to Redis without an answer.",
        {"redis": lambda n: n.redis_errors},
    ),
    (
        "codec_errors",
        "Values that could not be read or not be written.",
        {"redis": lambda n: n.codec_errors},
    ),
    (
        "evictions",
        "Values that left for want of room.",
        {"memory": lambda n: n.memory_evictions},
    ),
    (
        "expirations",
        "Values removed because their time was over.",
        {"memory": lambda n: n.memory_expirations},
    ),
    ("loads", "Values made anew because no tier had them.", {"overall": lambda n: n.loads}),
    ("load_errors", "Loads that failed.", {"overall": lambda n: n.load_errors}),
    (
        "loads_shared",
        "Look-ups that waited for a load of somebody else.",
        {"overall": lambda n: n.loads_shared},
    ),
)
_GAUGES: tuple[tuple[str, str, Reading], ...] = (
    ("items", "Values held now.", {"memory": lambda n: n.memory_items}),
    (
        "bytes",
        "Bytes held now, with what each value costs besides itself.",
        {"memory": lambda n: n.memory_bytes},
    ),
)

Seen: TypeAlias = WeakKeyDictionary[CacheCounters, dict[tuple[str, str], int]]


class CacheCounter(Counter):
    """A counter that advances by what the caches have counted since it was last asked for."""

    def follow(self, seen: Seen, reading: Reading) -> None:
        """Count for the caches in `seen`, which says what was counted for them so far."""
        self._seen = seen
        self._reading = reading

    def refresh(self) -> None:
        with LOCK:
            for cache, before in list(self._seen.items()):
                for each in cache.by_namespace():
                    for tier, read in self._reading.items():
                        place = (tier, each.namespace)
                        now = read(each)
                        if now != before.get(place):
                            self.labels(*place).inc(now - before.get(place, 0))
                            before[place] = now

    def collect(self) -> Iterable[Metric]:
        self.refresh()
        return super().collect()


class CacheGauge(Gauge):
    """A gauge that is the sum over the caches."""

    def follow(self, caches: Callable[[], list[CacheCounters]], reading: Reading) -> None:
        """Add up the caches there are at the time."""
        self._caches = caches
        self._reading = reading
        self._set: set[tuple[str, str]] = set()

    def refresh(self) -> None:
        with LOCK:
            sums = dict.fromkeys(self._set, 0)
            for cache in self._caches():
                for each in cache.by_namespace():
                    for tier, read in self._reading.items():
                        place = (tier, each.namespace)
                        sums[place] = sums.get(place, 0) + read(each)
            for place, value in sums.items():
                self.labels(*place).set(value)
            self._set.update(sums)

    def collect(self) -> Iterable[Metric]:
        self.refresh()
        return super().collect()


class CacheSeries:
    """The metrics of all caches that are shown in one registry, added up by namespace."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._counters: list[CacheCounter] = []
        self._gauges: list[CacheGauge] = []
        for name, help_text, reading in _COUNTERS:
            counter = CacheCounter(f"perftui_cache_{name}", help_text, LABELS, registry=None)
            seen: Seen = WeakKeyDictionary()
            counter.follow(seen, reading)
            self._seen.append(seen)
            self._counters.append(counter)
        for name, help_text, reading in _GAUGES:
            gauge = CacheGauge(
                f"perftui_cache_{name}",
                help_text,
                LABELS,
                registry=None,
                multiprocess_mode="livesum",
            )
            gauge.follow(self.caches, reading)
            self._gauges.append(gauge)
        self._states = StateSeries(self.caches)

    @property
    def collectors(self) -> tuple[MetricWrapperBase, ...]:
        return *self._counters, *self._gauges, *self._states.collectors

    def caches(self) -> list[CacheCounters]:
        """Return the caches that are shown."""
        return list(self._seen[0])

    def add(self, cache: CacheCounters) -> None:
        """Show a cache; nothing changes when it is shown already."""
        with LOCK:
            for seen in self._seen:
                seen.setdefault(cache, {})

    def remove(self, cache: CacheCounters) -> None:
        """Count a cache for the last time."""
        with LOCK:
            self.refresh()
            for seen in self._seen:
                seen.pop(cache, None)
            for gauge in self._gauges:
                gauge.refresh()
            self._states.refresh()

    def refresh(self) -> None:
        """Bring all metrics up to date."""
        for counter in self._counters:
            counter.refresh()
        for gauge in self._gauges:
            gauge.refresh()
        self._states.refresh()


PER_REGISTRY: OnePerRegistry[CacheSeries] = OnePerRegistry("CacheManager")
