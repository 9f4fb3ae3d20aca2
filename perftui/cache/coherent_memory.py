"""The memory tier as others may change it: what is read, fetched and dropped at the same time.

A value that was read from Redis is kept only when nobody invalidated its key since the question
was sent. Each fetch leaves a token under its key first and the invalidation takes it away; without
that, an answer that overtakes the invalidation of what it says is stale until its end of life.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable

from perftui.cache.glob import matcher
from perftui.cache.memory_tier import MemoryTier

LONGEST = 300.0
"""Seconds after which memory asks again whatever the value's own end of life, as a safety net."""


class Token:
    """Says that a fetch is under way; its identity is all there is to it."""

    __slots__ = ()


class CoherentMemory:
    """A memory tier with the moment until which it may be read; safe between threads.

    `tier` may be read while `clock() < readable_until`. Everything that changes it goes through
    here, under one lock, so that dropping a key and refusing a fetch are one step. With
    `keeps=False` it only knows which fetches are still good.
    """

    def __init__(
        self,
        tier: MemoryTier,
        clock: Callable[[], float] = time.monotonic,
        *,
        keeps: bool = True,
    ) -> None:
        self.tier = tier
        self.readable_until = -math.inf
        self._clock = clock
        self._keeps = keeps
        # A signal handler or a finaliser may use the cache while its own thread is in here.
        self._lock = threading.RLock()
        self._fetches: dict[bytes, Token] = {}
        self._loads: dict[bytes, Token] = {}
        self._accepting = False
        self._longest = LONGEST

    @property
    def fetching(self) -> int:
        """How many fetches are under way."""
        return len(self._fetches)

    def begin(self, key: bytes) -> Token | None:
        """Announce a fetch before the question is sent; None while nothing is kept anyway."""
        if not self._accepting:
            return None
        token = Token()
        with self._lock:
            self._fetches[key] = token
        return token

    def end(self, key: bytes, token: Token | None) -> None:
        """End a fetch that brought nothing to keep."""
        if token is not None:
            with self._lock:
                if self._fetches.get(key) is token:
                    del self._fetches[key]

    def store(
        self, key: bytes, token: Token | None, value: bytes | None, deadline: float, namespace: int
    ) -> bool:
        """Keep what a fetch brought unless its key was invalidated since; return whether."""
        if token is None:
            return False
        with self._lock:
            if self._fetches.get(key) is not token:
                return False
            del self._fetches[key]
            if not (self._accepting and self._keeps):
                return False
            until = min(deadline, self._clock() + self._longest)
            return self.tier.put(key, value, until, namespace)

    def is_current(self, key: bytes, token: Token | None) -> bool:
        """Tell whether nothing happened to the key since the fetch began."""
        return token is not None and self._fetches.get(key) is token

    def begin_load(self, key: bytes) -> Token:
        """Announce that a value is made from what is known from now on; only patterns end it."""
        token = Token()
        with self._lock:
            self._loads[key] = token
        return token

    def end_load(self, key: bytes, token: Token) -> bool:
        """End a load; return whether no pattern of an invalidation matched its key since."""
        with self._lock:
            if self._loads.get(key) is not token:
                return False
            del self._loads[key]
            return True

    def drop(self, keys: Iterable[bytes]) -> int:
        """Forget keys and refuse the fetches of them under way; return how many were there."""
        with self._lock:
            dropped = 0
            for key in keys:
                self._fetches.pop(key, None)
                dropped += self.tier.drop(key)
            return dropped

    def drop_matching(self, glob: bytes) -> int:
        """Forget all keys that match a pattern, absent keys, fetches and loads under way included.

        Returns how many keys there were in the tier.
        """
        matches = matcher(glob)
        with self._lock:
            for begun in (self._fetches, self._loads):
                for key in [key for key in begun if matches(key)]:
                    del begun[key]
            return self.tier.drop_matching(glob)

    def restart(self, readable_until: float, longest: float = LONGEST) -> None:
        """Begin empty, to be read until a moment and to keep nothing longer than `longest` s."""
        with self._lock:
            self._empty()
            self._longest = longest
            self._accepting = True
            self.readable_until = readable_until

    def flush(self) -> None:
        """Forget everything and refuse all fetches under way."""
        with self._lock:
            self._empty()

    def close(self) -> None:
        """Forget everything, and neither keep nor show anything until `restart`."""
        with self._lock:
            self.readable_until = -math.inf
            self._accepting = False
            self._empty()

    def after_fork(self) -> None:
        """Begin closed in a forked process, whose copy of the lock may be held for ever.

        The tier does the same for itself.
        """
        self._lock = threading.RLock()
        self._fetches = {}
        self._loads = {}
        self._accepting = False
        self.readable_until = -math.inf

    def _empty(self) -> None:
        self._fetches.clear()
        self.tier.clear()
