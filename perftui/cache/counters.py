"""What a cache has counted, by namespace and tier."""

from __future__ import annotations

import enum
import os
import threading
from collections.abc import Callable
from weakref import WeakSet

import msgspec

from perftui.cache.memory_tier import MemoryTier
from perftui.cache.namespaces import NamespaceTable
from perftui.metrics.report import CacheCounts, CacheState


class Event(enum.IntEnum):
    """What can happen besides that which the memory tier counts itself.

    A look-up that memory could not answer is a memory miss, or a bypass while memory may not be
    read; the one that Redis was asked afterwards is a hit, a miss or an error of Redis. A load that
    many callers wait for is one load, and shared by all but the first.
    """

    MEMORY_MISSES = 0
    BYPASSES = 1
    REDIS_HITS = 2
    REDIS_MISSES = 3
    REDIS_ERRORS = 4
    CODEC_ERRORS = 5
    SETS = 6
    DELETES = 7
    INVALIDATIONS = 8
    LOADS = 9
    LOAD_ERRORS = 10
    LOADS_SHARED = 11


class NamespaceCounts(msgspec.Struct, frozen=True, gc=False):
    """Everything counted for one namespace since the start; `memory_bytes` is the size now.

    `memory_hits` were answered with a value and `memory_negatives` with the knowledge that there is
    none; `memory_ghost_hits` are misses that memory of twice the size would have answered with a
    value. `invalidations` are keys deleted by pattern, `deletes` by name.
    """

    namespace: str
    memory_hits: int = 0
    memory_negatives: int = 0
    memory_sets: int = 0
    memory_items: int = 0
    memory_bytes: int = 0
    memory_evictions: int = 0
    memory_expirations: int = 0
    memory_ghost_hits: int = 0
    memory_misses: int = 0
    bypasses: int = 0
    redis_hits: int = 0
    redis_misses: int = 0
    redis_errors: int = 0
    codec_errors: int = 0
    sets: int = 0
    deletes: int = 0
    invalidations: int = 0
    loads: int = 0
    load_errors: int = 0
    loads_shared: int = 0

    @property
    def lookups(self) -> int:
        """Look-ups of callers, whoever answered them."""
        return self.memory_hits + self.memory_negatives + self.memory_misses + self.bypasses

    @property
    def hit_ratio(self) -> float | None:
        """Part of the look-ups that brought a value, from either tier; None without look-ups."""
        lookups = self.lookups
        return min(1.0, (self.memory_hits + self.redis_hits) / lookups) if lookups else None


def _no_state() -> CacheState | None:
    return None


class CacheCounters:
    """Counts of one cache, safe between threads; `memory` None: there is no memory tier.

    `state` is set by the cache to whatever tells how it stands.
    """

    def __init__(self, namespaces: NamespaceTable, memory: MemoryTier | None = None) -> None:
        self.namespaces = namespaces
        self.memory = memory
        self.state: Callable[[], CacheState | None] = _no_state
        self._rows: list[list[int]] = []
        # A signal handler or a finaliser may use the cache while its own thread is in here.
        self._lock = threading.RLock()
        _ALL.add(self)

    def add(self, namespace: int, event: Event, amount: int = 1) -> None:
        """Count an event under the number of a namespace."""
        with self._lock:
            while len(self._rows) <= namespace:
                self._rows.append([0] * len(Event))
            self._rows[namespace][event] += amount

    def count(self, key: bytes, event: Event, amount: int = 1) -> None:
        """Count an event under the namespace of a key."""
        self.add(self.namespaces.number(key), event, amount)

    def by_namespace(self) -> tuple[NamespaceCounts, ...]:
        """Return all counts of each namespace in which anything happened."""
        with self._lock:
            rows = [tuple(row) for row in self._rows]
        tallies = self.memory.tallies() if self.memory is not None else ()
        found: list[NamespaceCounts] = []
        for number, name in enumerate(self.namespaces.names()):
            row = rows[number] if number < len(rows) else (0,) * len(Event)
            memory = (0,) * 8
            if number < len(tallies):
                value, absence = tallies[number]
                memory = (
                    value.hits,
                    absence.hits,
                    value.sets + absence.sets,
                    value.items + absence.items,
                    value.bytes + absence.bytes,
                    value.evictions + absence.evictions,
                    value.expirations + absence.expirations,
                    value.ghost_hits,
                )
            if any(row) or any(memory):
                found.append(NamespaceCounts(name, *memory, *row))
        return tuple(found)

    def total(self) -> NamespaceCounts:
        """Return the sum over all namespaces, under the empty name."""
        counts = [msgspec.structs.astuple(each)[1:] for each in self.by_namespace()]
        return NamespaceCounts("", *map(sum, zip(*counts, strict=True)))

    def snapshot(self) -> dict[str, CacheCounts]:
        """Return what a Reporter publishes of each namespace.

        The knowledge that a key is absent spares a question, but brought no value, so there it is
        a miss of memory, as is a look-up that went past it.
        """
        passed = 0 if self.memory is None else 1
        haunted = self.memory is not None and self.memory.has_ghost
        return {
            each.namespace: CacheCounts(
                memory_hits=each.memory_hits,
                memory_misses=each.memory_negatives + each.memory_misses + passed * each.bypasses,
                redis_hits=each.redis_hits,
                redis_misses=each.redis_misses,
                memory_items=each.memory_items,
                memory_size=each.memory_bytes,
                memory_evictions=each.memory_evictions,
                memory_expirations=each.memory_expirations,
                memory_ghost_hits=each.memory_ghost_hits if haunted else None,
                redis_errors=each.redis_errors,
                codec_errors=each.codec_errors,
                loads=each.loads,
                load_errors=each.load_errors,
            )
            for each in self.by_namespace()
        }

    def _after_fork(self) -> None:
        self._lock = threading.RLock()


_ALL: WeakSet[CacheCounters] = WeakSet()


def _all_after_fork() -> None:
    # A thread that exists in the parent only may have held a lock.
    for counters in _ALL:
        counters._after_fork()


os.register_at_fork(after_in_child=_all_after_fork)
