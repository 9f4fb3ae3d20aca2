"""The cache of a service: memory of this process first, then the Redis that all share."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from perftui.cache.coherence import Coherence
from perftui.cache.config import CacheConfig
from perftui.cache.counters import CacheCounters, Event
from perftui.cache.forked_caches import remember
from perftui.cache.glob import escape, literal
from perftui.cache.invalidation import InvalidationResult
from perftui.cache.lifetimes import lifetime_ms
from perftui.cache.loading import Loading
from perftui.cache.memory_tier import MemoryTier
from perftui.cache.miss import MISS, UNKNOWN, Miss
from perftui.cache.sweep import plain_result, sweep
from perftui.cache.tiers import Tiers

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from perftui.cache.cached import Cached, Key
    from perftui.cache.sync import SyncCache
    from perftui.metrics.cache_reading import CacheReading
    from perftui.metrics.report import CacheCounts, CacheState

__all__ = ["MISS", "CacheManager"]


class CacheManager:
    """Two tiers of cached values: `get_cached`, `set_cached`, `invalidate`, `get_or_load`.

    Memory answers first. What it does not have is asked of Redis and kept in memory for the rest
    of its life, 300 s at most. Redis tells every process within milliseconds which keys anybody
    wrote, deleted, evicted, expired or flushed, and memory drops them; see `coherence`. A value
    from memory is at most `coherence.bound` seconds out of date: `ping_interval` + `ping_limit`
    (1.5 s) plus one cycle of the server's event loop when the network swallows everything without
    a word, milliseconds otherwise. Where Redis may not tell (an ACL, a proxy), memory keeps a
    value `fallback_ttl` (5 s) at most. A cluster adds the time its nodes need to agree on who owns
    a slot, about a second, while slots move.

    Redis that is dead or hangs costs a caller 0.3 s at most, once, then microseconds until it is
    back; a value that could not be written or deleted meanwhile is deleted then. No method but
    `invalidate`'s result speaks of it: `counters` and the log `perftui` do.

    It may be used from any event loop and thread, and after a fork, where the child makes its own
    connections; `sync` is the same for code that does not await. `registry` is where Prometheus
    metrics go, None for the default one; `metrics=False` for none.

    Raises CodecError from `set_cached` and `get_or_load` for a value that the codec would change.
    """

    def __init__(
        self,
        config: CacheConfig | None = None,
        *,
        registry: CollectorRegistry | None = None,
        metrics: bool = True,
    ) -> None:
        self._tiers = Tiers(CacheConfig() if config is None else config)
        self._loading = Loading(self._tiers)
        self._sync: SyncCache | None = None
        self._lock = threading.Lock()
        self._exported = metrics
        state = weakref.WeakMethod(self._state)
        self.counters.state = lambda: read() if (read := state()) else None
        if metrics:
            from perftui.cache.metrics import export

            export(self.counters, registry)
        remember(self)

    @property
    def config(self) -> CacheConfig:
        """The settings, which never change."""
        return self._tiers.config

    @property
    def counters(self) -> CacheCounters:
        """What was counted, by namespace and tier."""
        return self._tiers.counters

    @property
    def memory(self) -> MemoryTier:
        """The memory tier, for its counts; its values may not be valid at the moment."""
        return self._tiers.memory.tier

    @property
    def coherence(self) -> Coherence:
        """How the memory tier keeps up with Redis at the moment."""
        return self._tiers.coherence

    @property
    def redis_answers(self) -> bool:
        """Whether Redis answered when it was last asked; False while it is left alone."""
        redis = self._tiers.redis
        return redis is not None and redis.breaker.closed

    def reported(self) -> dict[str, CacheCounts]:
        """Return the counts alone, for a function that adds those of other caches."""
        return self.counters.snapshot()

    def reading(self) -> CacheReading:
        """Return what a Reporter publishes: `Reporter(..., caches=manager)`."""
        from perftui.metrics.cache_reading import CacheReading

        return CacheReading(self.counters.snapshot(), self._state())

    def _state(self) -> CacheState:
        from perftui.cache.reading import read_state

        tiers = self._tiers
        return read_state(
            tiers.config,
            tiers.coherence if tiers.running else None,
            None if tiers.redis is None else self.redis_answers,
        )

    # Life

    def start(self) -> None:
        """Begin to listen for changes; the first look-up does it too. Returns at once.

        Raises RuntimeError for a cache that was closed.
        """
        self._tiers.start()

    async def __aenter__(self) -> CacheManager:
        await self._tiers.settle()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, within half a second; the cache cannot be used afterwards."""
        if not await self._tiers.close():
            return
        if self._exported:
            from perftui.cache.metrics import forget

            forget(self.counters)
        if self._sync is not None:
            self._sync.stop_loop()

    @property
    def sync(self) -> SyncCache:
        """The same cache for code that does not run in an event loop."""
        if self._sync is None:
            from perftui.cache.sync import SyncCache

            with self._lock:
                self._sync = self._sync or SyncCache(self, self._tiers, self._loading)
        return self._sync

    def after_fork(self) -> None:
        """Begin anew in a forked process; called by itself there."""
        self._lock = threading.Lock()
        self._tiers.after_fork()
        self._loading.after_fork()
        if self._sync is not None:
            self._sync.after_fork()

    # Use

    def name(self, key: str | bytes) -> bytes:
        """Return the whole key in Redis. Raises TypeError for what is neither text nor bytes."""
        if isinstance(key, str):
            return self.config.prefix + key.encode("utf-8", "surrogatepass")
        if isinstance(key, bytes):
            return self.config.prefix + key
        raise TypeError(f"a key is str or bytes, not {type(key).__name__}")

    async def get_cached(self, key: str | bytes) -> Any | Miss:
        """Return the value, MISS when there is none; never raises for Redis' sake."""
        name = self.name(key)
        found = self._tiers.recall(name)
        return await self._tiers.fetch(name) if found is UNKNOWN else found

    async def set_cached(self, key: str | bytes, value: object, ttl: float | None = None) -> bool:
        """Write a value to both tiers; return whether Redis, where there is one, has it.

        `ttl` is in seconds: None is the configured default, 0 removes the key, infinity never
        ends. What could not be written leaves no older value behind. Raises CodecError for a value
        that the codec would change, ValueError for a ttl below 0 or NaN.
        """
        name = self.name(key)
        lifetime = lifetime_ms(ttl, self.config.default_ttl)
        if lifetime == 0:
            return not (await self._tiers.remove(name)).error
        return await self._tiers.write(name, value, lifetime)

    async def delete(self, key: str | bytes) -> bool:
        """Remove exactly this key, which is no pattern, from both tiers of every process.

        Returns whether Redis had it, or memory where there is no Redis. While Redis is away it is
        removed when Redis is back.
        """
        return (await self._tiers.remove(self.name(key))).deleted

    async def invalidate(self, pattern: str | bytes, *, by: str = "") -> InvalidationResult:
        """Remove all keys that match a pattern of Redis from both tiers of every process.

        The pattern stands behind the configured prefix: `user:*`, `user:[0-9]?`; a backslash takes
        the next character as it is. One without wildcards is one key. Memory tiers hear the
        pattern before the first key goes, so they are empty of it within milliseconds however long
        the rest takes. Keys written meanwhile may stay. Cancelling stops it within half a second.
        `by` names who asks, for the audit stream; without it no entry is written. Never raises for
        Redis' sake: the result has `matched`, `deleted`, `denied`, `seconds`, `complete`, `error`.
        Raises ValueError for an empty pattern.
        """
        if not pattern:
            raise ValueError("an empty pattern matches no key; '*' matches all of this cache")
        tiers = self._tiers
        glob = escape(self.config.prefix) + (
            pattern.encode("utf-8", "surrogatepass") if isinstance(pattern, str) else pattern
        )
        key = literal(glob)
        began = time.perf_counter()
        if key is not None and not by:
            removal = await tiers.remove(key)
            seconds = time.perf_counter() - began
            return plain_result(
                glob, int(removal.deleted), int(removal.denied), seconds, removal.error
            )
        tiers.start()
        here = tiers.memory.drop_matching(glob)
        if tiers.redis is None:
            return plain_result(glob, here, 0, time.perf_counter() - began, "")
        try:
            # The sweep says it too, but has a connection to make and rights to find out first.
            problem = await tiers.announce(glob, by)
            if problem:
                # It would wait for longer than a caller should, to learn the same.
                result = plain_result(glob, 0, 0, time.perf_counter() - began, problem)
            else:
                result = await sweep(self.config, glob, by)
        finally:
            tiers.memory.drop_matching(glob)
        if result.deleted:
            self.counters.count(key or glob, Event.INVALIDATIONS, result.deleted)
        if result.error:
            tiers.complain(f"an invalidation failed: {result.error}")
        return result

    async def get_or_load(
        self,
        key: str | bytes,
        loader: Callable[[], Awaitable[Any]] | Callable[[], Any],
        ttl: float | None = None,
    ) -> Any:
        """Return the value, from `loader` when neither tier has it, and keep it for `ttl` seconds.

        However many callers of however many processes miss it at once, one of them loads and the
        others wait for it, `config.lease` seconds beyond the life of the one that loads at most.
        An invalidation while it loads is not lost: what was read before is returned to those who
        asked before, but not kept. Raises what the loader raises, to all who wait for it.
        """
        return await self._loading.get(self.name(key), loader, ttl)

    def cached(self, ttl: float | None = None, key: Key | None = None) -> Cached:
        """Return a decorator that keeps what a function returns; see `perftui.cached`."""
        from perftui.cache.cached import Cached

        return Cached(self, ttl, key)
