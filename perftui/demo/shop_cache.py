"""The shop's cache, as any service would use it: a CacheManager with little memory in each worker.

Values are kept as the bytes of their JSON, so that what is read is made into the shop's own types
at once, and a key browser shows text.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from perftui.cache.config import CacheConfig
from perftui.cache.manager import CacheManager
from perftui.cache.miss import Miss

T = TypeVar("T")
K = TypeVar("K", int, str)

NAMESPACE = "shop"
MEMORY_ITEMS = 1000
"""Fewer than there are values, so that some of them have to leave."""
MEMORY_BYTES = 1_500_000
LIFETIME_SECONDS = 120.0
STAMPEDE_SECONDS = 1.0
SHORTEST_SECONDS = 0.01
OUTAGE_SECONDS = 5.0
"""Seconds that memory keeps a value while Redis is away: the database could not bear all of it."""
REDIS_TIMEOUT = 0.5
"""Seconds; more than the default, because the demo may run on a machine that is busy already."""


def shop_cache(unix_socket: Path) -> CacheManager:
    """Return the cache of one worker, which connects with its first use."""
    config = CacheConfig(
        {"default_ttl": LIFETIME_SECONDS, "max_size": MEMORY_ITEMS, "eviction_policy": "s3fifo"},
        {"memory": {"max_size": MEMORY_BYTES}, "redis": {"path": str(unix_socket)}},
        namespace=NAMESPACE,
        timeout=REDIS_TIMEOUT,
        max_stale=OUTAGE_SECONDS,
    )
    return CacheManager(config, metrics=False)


class Values(Generic[K, T]):
    """The cached values of one kind under `kind:name` with `suffix` behind.

    `load` makes the value that no tier has; None, for what does not exist, is kept like any other.
    """

    def __init__(
        self,
        cache: CacheManager,
        kind: str,
        type_: Any,
        load: Callable[[K], T | None],
        *,
        suffix: str = "",
    ) -> None:
        self._cache = cache.sync
        self._prefix = f"{kind}:"
        self._suffix = suffix
        self._load: Callable[[K], T | None] = load
        decoder: msgspec.json.Decoder[T | None] = msgspec.json.Decoder(type_ | None)
        self._decode = decoder.decode
        self._stampede = False

    def get(self, name: K) -> T | None:
        """Return one value, None for what does not exist."""
        key = self._key(name)
        return self._decode(self._get_or_load(name, key))

    def get_many(self, names: Iterable[K]) -> dict[K, T]:
        """Return all values there are."""
        found: dict[K, T] = {}
        for name in names:
            value = self.get(name)
            if value is not None:
                found[name] = value
        return found

    def put(self, name: K, value: T) -> None:
        """Write a value that is new."""
        self._cache.set_cached(self._key(name), msgspec.json.encode(value), self._lifetime())

    def drop(self, name: K) -> None:
        """Remove a value."""
        self._cache.delete(self._key(name))

    def set_stampede(self, wanted: bool) -> None:
        """Make all values expire at the same moments and let everybody load at once, or not."""
        self._stampede = wanted
        if wanted:
            # What is there already has an end of its own.
            self._cache.invalidate(f"{self._prefix}*")

    def _get_or_load(self, name: K, key: str) -> bytes:
        def load() -> bytes:
            return msgspec.json.encode(self._load(name))

        if not self._stampede:
            data: bytes = self._cache.get_or_load(key, load, self._lifetime())
            return data
        found = self._cache.get_cached(key)
        if not isinstance(found, Miss):
            kept: bytes = found
            return kept
        # The mistake this scenario is about: nobody asks whether another one loads it already.
        data = load()
        self._cache.set_cached(key, data, self._lifetime())
        return data

    def _lifetime(self) -> float:
        if self._stampede:
            # The wall clock gives all workers the same moments.
            left = STAMPEDE_SECONDS - time.time() % STAMPEDE_SECONDS
            return max(SHORTEST_SECONDS, left)
        return LIFETIME_SECONDS * random.uniform(0.8, 1.2)

    def _key(self, name: K) -> str:
        return f"{self._prefix}{name}{self._suffix}"
