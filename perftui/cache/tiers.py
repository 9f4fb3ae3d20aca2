"""Both tiers of a cache as one: what memory and Redis do together for a whole key."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from typing import Any, NamedTuple

from perftui.cache.codecs import CorruptError, decode, encode, expiry_of, is_placeholder, kept
from perftui.cache.coherence import MEMORY_ALONE, Board, Coherence
from perftui.cache.coherent_memory import CoherentMemory, Token
from perftui.cache.config import CacheConfig
from perftui.cache.counters import CacheCounters, Event
from perftui.cache.lifetimes import deadline_after, deadline_of, expiry_ms
from perftui.cache.memory_tier import MemoryTier
from perftui.cache.miss import MISS, UNKNOWN, Miss
from perftui.cache.namespaces import NamespaceTable
from perftui.cache.pattern_message import channel, encode_message, message_for
from perftui.cache.redis_tier import RedisTier, RedisUnavailableError
from perftui.cache.tracking_links import TrackingLinks

SETTLE_SECONDS = 0.3
"""Seconds to wait at most for the memory tier to be of use."""

MOVED_SECONDS = 30.0
"""Seconds in which a server that turns out to be a replica is left once at most."""

_logger = logging.getLogger("perftui")


class Removal(NamedTuple):
    """What removing one key did: whether it was there, whether the user may not, what failed."""

    deleted: bool
    denied: bool
    error: str


class Tiers:
    """The tiers, what keeps them coherent, and what they count.

    Keys here are whole keys of Redis, prefix included. Usable from any thread and event loop.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.namespaces = NamespaceTable(config.prefix, config.separator)
        self.memory = CoherentMemory(
            MemoryTier(config.max_items, config.memory_bytes, config.policy, ghost=config.ghost),
            keeps=config.memory_enabled,
        )
        self._reads_memory = config.memory_enabled
        self._pickle_key = config.pickle_key
        self.counters = CacheCounters(
            self.namespaces, self.memory.tier if config.memory_enabled else None
        )
        self.redis: RedisTier | None = None
        if config.redis_enabled:
            self.redis = RedisTier(config, self._moved)
        self._board = Board(
            self.memory,
            config.ping_interval + config.ping_limit,
            config.fallback_ttl,
            config.max_stale,
            self._live,
        )
        self._links: TrackingLinks | None = None
        self._lock = threading.Lock()
        self._started = False
        self._closed = False
        self._moved_at = -math.inf
        self._complained: set[str] = set()

    def start(self) -> None:
        """Begin to listen for changes; the first look-up does it too. Returns at once.

        Raises RuntimeError for a cache that was closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("this cache is closed; make another CacheManager")
            if self._started:
                return
            self._started = True
            if self.redis is None:
                self.memory.restart(math.inf)
                return
            self._links = TrackingLinks(self.config, self.memory, self._board)
            self._links.start()

    async def settle(self) -> None:
        """Start, and wait 0.3 s at most until it is known whether memory can be used."""
        self.start()
        if self.redis is not None:
            await asyncio.to_thread(self._board.wait_settled, SETTLE_SECONDS)

    async def close(self) -> bool:
        """Close all connections, within half a second; False when that was done before."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            self._started = False
            links, self._links = self._links, None
        self.memory.close()
        if links is not None:
            await asyncio.to_thread(links.stop)
        if self.redis is not None:
            await self.redis.close()
        return True

    @property
    def running(self) -> bool:
        """Whether the cache was used and not closed since, in this process."""
        return self._started

    @property
    def coherence(self) -> Coherence:
        """How the memory tier keeps up with Redis at the moment."""
        return MEMORY_ALONE if self.redis is None else self._board.snapshot()

    def recall(self, name: bytes) -> object:
        """Return what memory has of a whole key: a value, MISS when it knows that there is none,
        else UNKNOWN; never waits."""
        if not self._reads_memory:
            return UNKNOWN
        memory = self.memory
        if time.monotonic() >= memory.readable_until:
            self.counters.count(name, Event.BYPASSES)
            return UNKNOWN
        entry = memory.tier.get(name)
        if entry is None:
            self.counters.count(name, Event.MEMORY_MISSES)
            return UNKNOWN
        if entry.value is None:
            return MISS
        return kept(entry.value, self._pickle_key, name)

    async def fetch(self, name: bytes) -> Any | Miss:
        """Return the value of a whole key from Redis, and keep it in memory."""
        found = await self.fetch_both(name)
        return MISS if found is None else found[1]

    async def fetch_both(self, name: bytes) -> tuple[bytes, Any] | None:
        """Return bytes and value of a whole key from Redis, and keep them in memory."""
        if not self._started:
            self.start()
        if self.redis is None:
            return None
        token = self.memory.begin(name)
        try:
            return await self._fetch(self.redis, name, token)
        except RedisUnavailableError as error:
            self._failed(name, f"Redis does not answer: {error}")
        except self.redis.refusal as error:
            self._failed(name, f"Redis refuses: {error}")
        finally:
            self.memory.end(name, token)
        return None

    async def _fetch(
        self, redis: RedisTier, name: bytes, token: Token | None
    ) -> tuple[bytes, Any] | None:
        data = await redis.get(name)
        number = self.namespaces.number(name)
        if data is not None and is_placeholder(data):
            # It may be there any moment, so its absence is not worth remembering.
            self.counters.add(number, Event.REDIS_MISSES)
            return None
        if data is None:
            self.counters.add(number, Event.REDIS_MISSES)
            until = time.monotonic() + self.config.negative_ttl
            if not redis.owes(name):
                self.memory.store(name, token, None, until, number)
            return None
        try:
            decoded = decode(data, pickle_key=self.config.pickle_key, key=name)
        except CorruptError as error:
            self.counters.add(number, Event.CODEC_ERRORS)
            self.complain(f"a value in Redis cannot be read: {error}")
            return None
        self.counters.add(number, Event.REDIS_HITS)
        if token is not None:
            if decoded.codec == "foreign":
                deadline = deadline_after(await redis.remaining_ms(name))
            else:
                deadline = deadline_of(decoded.expiry_ms)
            self.memory.store(name, token, data, deadline, number)
        return data, decoded.value

    async def write(self, name: bytes, value: object, lifetime: int | None) -> bool:
        """Write a value that lives so many milliseconds, None for ever, to both tiers.

        Returns whether Redis, where there is one, has it. Raises CodecError.
        """
        expiry = expiry_ms(lifetime)
        data = self.encode(name, value, expiry)
        if not self._started:
            self.start()
        number = self.namespaces.number(name)
        self.memory.drop((name,))
        token = self.memory.begin(name)
        try:
            if self.redis is not None:
                await self.redis.set(name, data, lifetime)
            self.memory.store(name, token, data, deadline_of(expiry), number)
        except RedisUnavailableError as error:
            self._failed(name, f"Redis does not answer: {error}")
            return False
        except self._refusals as error:
            self._failed(name, f"Redis refuses: {error}")
            return False
        finally:
            self.memory.end(name, token)
        self.counters.add(number, Event.SETS)
        return True

    async def remove(self, name: bytes) -> Removal:
        """Remove a key, and with it the lease of whoever loads it, in every process."""
        if not self._started:
            self.start()
        had = self.memory.drop((name,)) > 0
        error, denied = "", False
        if self.redis is not None:
            try:
                had = await self.redis.delete(name)
            except RedisUnavailableError as failure:
                had, error = False, f"Redis does not answer: {failure}; deleted when it is back"
            except self._refusals as refusal:
                had, error, denied = False, str(refusal), True
            if error:
                self._failed(name, error)
        # What came in meanwhile may be what was to be deleted.
        self.memory.drop((name,))
        if had:
            self.counters.count(name, Event.DELETES)
        return Removal(had, denied, error)

    async def announce(self, glob: bytes, by: str) -> str:
        """Let all memory tiers forget the keys that match a pattern.

        The loads that are under way in all processes are not kept either. Returns why Redis cannot
        be asked for anything at the moment, empty when it can.
        """
        if self.redis is None:
            return ""
        message = encode_message(message_for(glob, by))
        try:
            await self.redis.ask("PUBLISH", channel(self.config.prefix), message)
        except RedisUnavailableError as error:
            return f"Redis does not answer: {error}"
        except self.redis.refusal as error:
            self.complain(f"a pattern was not announced: {error}")
        return ""

    def encode(self, name: bytes, value: object, expiry: int | None) -> bytes:
        """Return the bytes of a value. Raises CodecError."""
        config = self.config
        return encode(value, config.codec, expiry_ms=expiry, pickle_key=config.pickle_key, key=name)

    def decode(self, name: bytes, data: bytes, *, verify: bool = False) -> Any:
        """Return the value of bytes that `encode` made. Raises CorruptError with `verify`."""
        return decode(data, pickle_key=self.config.pickle_key, key=name, verify=verify).value

    def keep(self, name: bytes, token: Token | None, data: bytes) -> None:
        """Keep bytes that Redis has now, unless the key was invalidated since `begin`."""
        deadline = deadline_of(expiry_of(data))
        self.memory.store(name, token, data, deadline, self.namespaces.number(name))

    def after_fork(self) -> None:
        """Begin anew in a forked process: empty memory, connections of its own."""
        self._lock = threading.Lock()
        self.memory.after_fork()
        self._board.after_fork()
        if self.redis is not None:
            self.redis.after_fork()
        self._links = None
        self._started = False

    @property
    def _refusals(self) -> tuple[type[Exception], ...]:
        return () if self.redis is None else (self.redis.refusal,)

    def _live(self) -> None:
        """Redis is there, as the tracking connection knows first."""
        if self.redis is not None:
            self.redis.back()
        self._complained.clear()

    def _moved(self) -> None:
        """A replica answered, so the primary is another server now."""
        links, now = self._links, time.monotonic()
        # A cache may be meant to stand on a replica, and write nothing.
        if links is not None and now - self._moved_at > MOVED_SECONDS:
            self._moved_at = now
            links.restart()

    def _failed(self, name: bytes, problem: str) -> None:
        self.counters.count(name, Event.REDIS_ERRORS)
        self.complain(problem)

    def complain(self, problem: str) -> None:
        """Log a kind of problem once until Redis was back in between."""
        kind = problem.partition(":")[0]
        if kind not in self._complained:
            self._complained.add(kind)
            _logger.warning("cache at %s: %s", self.config.redis.shown, problem)
