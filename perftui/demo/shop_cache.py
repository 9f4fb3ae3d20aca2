"""The shop's cache: a small memory tier in each worker before a Redis that all of them share.

Without Redis the shop goes on with memory and database: after an error Redis is left alone for a
moment, so that a dead server costs next to nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from perftui.metrics.report import CacheCounts

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")
K = TypeVar("K", int, str)

MEMORY_SECONDS = 5.0
REDIS_SECONDS = 120.0
STAMPEDE_SECONDS = 1.0
REDIS_PAUSE = 0.5
"""Seconds in which Redis is not asked again after it failed."""
MEMORY_ITEMS = 360


class MemoryTier(Generic[K, T]):
    """The most recently used values with an end of life; not safe between threads by itself."""

    def __init__(self, limit: int) -> None:
        self._entries: OrderedDict[K, tuple[float, int, T]] = OrderedDict()
        self._limit = limit
        self.size = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: K, now: float) -> T | None:
        """Return the value, None when there is none that is still alive."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        if entry[0] <= now:
            self.drop(name)
            return None
        self._entries.move_to_end(name)
        return entry[2]

    def put(self, name: K, value: T, size: int, until: float) -> None:
        """Keep a value of `size` bytes until a moment of the monotonic clock."""
        self.drop(name)
        self._entries[name] = (until, size, value)
        self.size += size
        while len(self._entries) > self._limit:
            _, (_, evicted, _) = self._entries.popitem(last=False)
            self.size -= evicted
            self.evictions += 1

    def drop(self, name: K) -> None:
        """Forget one value, if it is there."""
        entry = self._entries.pop(name, None)
        if entry is not None:
            self.size -= entry[1]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0


class RedisTier:
    """The shared tier; every method answers as if empty while Redis cannot be reached."""

    def __init__(self, unix_socket: Path, client_name: str) -> None:
        self._socket = unix_socket
        self._client_name = client_name
        self._client: Redis | None = None
        self._silent_until = 0.0

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """Return what `question` gets from the client, None when Redis cannot answer."""
        from redis import RedisError

        if time.monotonic() < self._silent_until:
            return None
        if self._client is None:
            self._client = connect(self._socket, self._client_name)
        try:
            return question(self._client)
        except RedisError:
            self._silent_until = time.monotonic() + REDIS_PAUSE
            return None


def connect(unix_socket: Path, client_name: str) -> Redis:
    """Return a client that fails fast and never tries twice."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(
        unix_socket_path=str(unix_socket),
        client_name=client_name,
        protocol=2,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )


class Namespace(Generic[K, T]):
    """The values under one key prefix; `load` makes a value that no tier has.

    Keys are `prefix:name` with `suffix` behind. `memory=False` keeps values that must not be stale
    out of the memory tier. `load` returns None for what does not exist, which is not cached.
    """

    def __init__(
        self,
        prefix: str,
        kind: Any,
        redis: RedisTier,
        load: Callable[[K], T | None],
        *,
        suffix: str = "",
        memory: bool = True,
    ) -> None:
        self.prefix = prefix
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._redis = redis
        self._load: Callable[[K], T | None] = load
        self._suffix = suffix
        self._uses_memory = memory
        self._memory: MemoryTier[K, T] = MemoryTier(MEMORY_ITEMS)
        self._lock = threading.Lock()
        self._loading = [threading.Lock() for _ in range(16)]
        self._stampede = False
        self._memory_hits = self._memory_misses = self._redis_hits = self._redis_misses = 0

    def counts(self) -> CacheCounts:
        """Return what was looked up since the start."""
        with self._lock:
            return CacheCounts(
                self._memory_hits,
                self._memory_misses,
                self._redis_hits,
                self._redis_misses,
                len(self._memory),
                self._memory.size,
                self._memory.evictions,
            )

    def get(self, name: K) -> T | None:
        """Return one value from the first tier that has it."""
        return self.get_many((name,)).get(name)

    def get_many(self, names: Iterable[K]) -> dict[K, T]:
        """Return all values there are; Redis is asked once for all that memory lacks."""
        found: dict[K, T] = {}
        missing = self._from_memory(names, found)
        if missing:
            missing = self._from_redis(missing, found)
        for name in missing:
            value = self._load_one(name)
            if value is not None:
                found[name] = value
        return found

    def put(self, name: K, value: T) -> None:
        """Write a value that is new to both tiers."""
        payload = msgspec.json.encode(value)
        lifetime = self._lifetime()
        key = self._key(name)
        self._redis.ask(lambda redis: redis.set(key, payload, px=max(1, int(lifetime * 1000))))
        self._remember(name, value, len(payload))

    def drop(self, name: K) -> None:
        """Remove a value from both tiers."""
        with self._lock:
            self._memory.drop(name)
        key = self._key(name)
        self._redis.ask(lambda redis: redis.delete(key))

    def set_stampede(self, wanted: bool) -> None:
        """Make all values expire at the same moments and let everybody load at once, or not."""
        self._stampede = wanted
        if not wanted:
            return
        with self._lock:
            self._memory.clear()
        self._redis.ask(self._align_expiries)

    def _align_expiries(self, redis: Redis) -> None:
        together = int((time.time() + self._lifetime()) * 1000)
        keys = list(redis.scan_iter(f"{self.prefix}:*", count=500))
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.pexpireat(key, together)
        pipeline.execute()

    def _from_memory(self, names: Iterable[K], found: dict[K, T]) -> list[K]:
        if not self._uses_memory:
            return list(names)
        missing = []
        now = time.monotonic()
        with self._lock:
            for name in names:
                value = self._memory.get(name, now)
                if value is None:
                    missing.append(name)
                else:
                    found[name] = value
            self._memory_hits += len(found)
            self._memory_misses += len(missing)
        return missing

    def _from_redis(self, names: list[K], found: dict[K, T]) -> list[K]:
        keys = [self._key(name) for name in names]
        payloads = self._redis.ask(lambda redis: list(redis.mget(keys)))
        if payloads is None:
            return names
        missing = []
        for name, payload in zip(names, payloads, strict=True):
            if payload is None:
                missing.append(name)
            else:
                value = found[name] = self._decoder.decode(payload)
                self._remember(name, value, len(payload))
        with self._lock:
            self._redis_hits += len(names) - len(missing)
            self._redis_misses += len(missing)
        return missing

    def _load_one(self, name: K) -> T | None:
        if self._stampede:
            return self._load_and_put(name)
        # One loader per key and process: the others find its value in memory.
        with self._loading[hash(name) % len(self._loading)]:
            if self._uses_memory:
                with self._lock:
                    value = self._memory.get(name, time.monotonic())
                if value is not None:
                    return value
            return self._load_and_put(name)

    def _load_and_put(self, name: K) -> T | None:
        value = self._load(name)
        if value is not None:
            self.put(name, value)
        return value

    def _remember(self, name: K, value: T, size: int) -> None:
        if self._uses_memory:
            until = time.monotonic() + min(MEMORY_SECONDS, self._lifetime())
            with self._lock:
                self._memory.put(name, value, size, until)

    def _lifetime(self) -> float:
        if self._stampede:
            # The wall clock gives all workers the same moments.
            return STAMPEDE_SECONDS - time.time() % STAMPEDE_SECONDS
        return REDIS_SECONDS * random.uniform(0.8, 1.2)

    def _key(self, name: K) -> str:
        return f"{self.prefix}:{name}{self._suffix}"
