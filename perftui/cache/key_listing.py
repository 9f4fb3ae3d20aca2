"""The keys that match a pattern, a page at a time, with what is known of each.

Redis counts TYPE and PTTL as hits like any GET, and SCAN with TYPE counts one for every key it
passes (6.2 and 7.0). Only SCAN and MEMORY USAGE are free of that, so type and expiry are read on
request, of the listed keys alone, and the look-ups are counted to be taken off again.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from perftui.cache.conversation import Conversation
from perftui.cache.glob import literal
from perftui.cache.topology import Primary, Topology, topology

if TYPE_CHECKING:
    import redis

SCAN_COUNT = 500
MOST_SCANS = 200
"""SCANs for one page: a pattern that hardly matches does not go through millions of keys."""


class ListedKey(msgspec.Struct, frozen=True):
    """One key; `size` in bytes of memory, None where Redis would not say.

    With details `type` is a name of Redis and `ttl` the remaining seconds, None for ever.
    """

    key: bytes
    size: int | None
    type: str = ""
    ttl: float | None = None


class KeyPage(msgspec.Struct, frozen=True):
    """Some keys in the order of Redis; `done`: there are no more.

    `scanned` is about how many keys were passed so far; `hits` and `misses` are what reading the
    details has been counted as on this page.
    """

    keys: tuple[ListedKey, ...]
    scanned: int
    done: bool
    hits: int = 0
    misses: int = 0


class KeyListing:
    """Goes through the keys of one server or cluster; keys written meanwhile may be missing.

    Use from one thread; `cancel` from any. Raises ValueError for an empty pattern, and the methods
    redis.RedisError when Redis refuses or is gone.
    """

    def __init__(self, client: redis.Redis, pattern: bytes, details: bool = False) -> None:
        if not pattern:
            raise ValueError("an empty pattern matches no key")
        self._client = client
        self._pattern = pattern
        self._details = details
        self._cancel = threading.Event()
        self._where: Topology | None = None
        self._left: deque[Primary] = deque()
        self._cursor = b"0"
        self._pending: deque[tuple[Primary, bytes]] = deque()
        self._scanned = 0

    @property
    def cancelled(self) -> bool:
        """Whether it has been broken off."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Break off; the page under way comes back short."""
        self._cancel.set()

    def close(self) -> None:
        """Close the connections to other nodes of a cluster."""
        if self._where is not None:
            self._where.close()

    def next_page(self, limit: int) -> KeyPage:
        """Return at most `limit` more keys, fewer or none when it took very many SCANs to look."""
        if self._where is None:
            self._where = topology(self._client, self._cancel)
            self._left = deque(self._where.primaries)
            self._take_literal(self._where)
        scans = 0
        while self._left and len(self._pending) < limit and scans < MOST_SCANS:
            if self._cancel.is_set():
                break
            scans += 1
            self._scan()
        chosen = [self._pending.popleft() for _ in range(min(limit, len(self._pending)))]
        keys, hits, misses = self._read(chosen)
        done = not self._left and not self._pending
        return KeyPage(tuple(keys), self._scanned, done, hits, misses)

    def _take_literal(self, where: Topology) -> None:
        key = literal(self._pattern)
        if key is None:
            return
        self._left.clear()
        owner = where.owner(key)
        self._scanned = 1
        with Conversation(owner.client, self._cancel) as talk:
            if talk.ask("MEMORY", "USAGE", key, "SAMPLES", 1) is not None:
                self._pending.append((owner, key))

    def _scan(self) -> None:
        primary = self._left[0]
        with Conversation(primary.client, self._cancel) as talk:
            self._cursor, found = talk.ask(
                "SCAN", self._cursor, "MATCH", self._pattern, "COUNT", SCAN_COUNT
            )
        self._scanned += SCAN_COUNT
        self._pending.extend((primary, key) for key in found)
        if self._cursor == b"0":
            self._left.popleft()

    def _read(self, chosen: list[tuple[Primary, bytes]]) -> tuple[list[ListedKey], int, int]:
        """Return the keys with what is known of them, and what it was counted as."""
        read: dict[bytes, ListedKey] = {}
        hits = misses = 0
        owners: dict[Primary, list[bytes]] = {}
        for primary, key in chosen:
            owners.setdefault(primary, []).append(key)
        for primary, keys in owners.items():
            with Conversation(primary.client, self._cancel) as talk:
                sizes = talk.ask_each(("MEMORY", "USAGE", key) for key in keys)
                kinds = talk.ask_each(("TYPE", key) for key in keys) if self._details else []
                ttls = talk.ask_each(("PTTL", key) for key in keys) if self._details else []
            for number, key in enumerate(keys):
                size = sizes[number] if isinstance(sizes[number], int) else None
                kind, ttl = "", None
                if self._details:
                    kind = _text(kinds[number])
                    here = (kind not in ("", "none")) + _positive(ttls[number])
                    hits += here
                    misses += (kind == "none") + (ttls[number] == -2)
                    if isinstance(ttls[number], int) and ttls[number] >= 0:
                        ttl = ttls[number] / 1000
                read[key] = ListedKey(key, size, kind, ttl)
        return [read[key] for _, key in chosen], hits, misses


def _text(reply: object) -> str:
    return reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else ""


def _positive(reply: object) -> int:
    return int(isinstance(reply, int) and reply >= -1)
