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
from perftui.cache.key_details import KeyDetail, KeyDetails, ask_details
from perftui.cache.topology import Primary, Topology, topology

if TYPE_CHECKING:
    import redis

SCAN_COUNT = 500
MOST_SCANS = 200
"""SCANs for one page: a pattern that hardly matches does not go through millions of keys."""


class ListedKey(msgspec.Struct, frozen=True, gc=False):
    """One key; `size` in bytes of memory, None where Redis would not say.

    With details `type` is a name of Redis and `ttl` the remaining seconds, None for ever.
    """

    key: bytes
    size: int | None
    type: str = ""
    ttl: float | None = None


class KeyPage(msgspec.Struct, frozen=True):
    """Some keys in the order of Redis; `done`: there are no more.

    `scanned` is about how many keys were passed so far of `total`, which is 0 where Redis would not
    say. `hits` and `misses` are what reading the details has been counted as on this page.
    `refused` is why Redis would not tell sizes or details, empty when it told them.
    """

    keys: tuple[ListedKey, ...]
    scanned: int
    done: bool
    hits: int = 0
    misses: int = 0
    total: int = 0
    refused: str = ""


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
        self._total = 0
        self._looked_up = (0, 0)

    @property
    def cancelled(self) -> bool:
        """Whether it has been broken off."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Break off; the page under way comes back short."""
        self._cancel.set()

    def go_on(self) -> None:
        """Take back what `cancel` did, so that the next page comes."""
        self._cancel.clear()

    def close(self) -> None:
        """Close the connections to other nodes of a cluster."""
        if self._where is not None:
            self._where.close()

    def next_page(self, limit: int) -> KeyPage:
        """Return at most `limit` more keys, fewer or none when it took very many SCANs to look."""
        if self._where is None:
            where = topology(self._client, self._cancel)
            self._total = self._count(where)
            self._take_literal(where)
            self._where = where
        scans = 0
        while self._left and len(self._pending) < limit and scans < MOST_SCANS:
            if self._cancel.is_set():
                break
            scans += 1
            self._scan()
        chosen = [self._pending[index] for index in range(min(limit, len(self._pending)))]
        keys, details, refused = self._read(chosen)
        # Not before they were read: what was broken off comes with the next page.
        for _ in chosen:
            self._pending.popleft()
        done = not self._left and not self._pending
        hits, misses = self._looked_up
        self._looked_up = (0, 0)
        passed = min(self._scanned, self._total) if self._total else self._scanned
        return KeyPage(
            tuple(keys), self._total if done and self._total else passed, done,
            hits + details.hits, misses + details.misses, self._total, refused or details.refused,
        )  # fmt: skip

    def _count(self, where: Topology) -> int:
        total = 0
        for primary in where.primaries:
            with Conversation(primary.client, self._cancel) as talk:
                (size,) = talk.ask_each([("DBSIZE",)])
            if not isinstance(size, int):
                return 0
            total += size
        return total

    def _take_literal(self, where: Topology) -> None:
        key = literal(self._pattern)
        if key is None:
            self._left = deque(where.primaries)
            return
        self._scanned = self._total = 1
        owner = where.owner(key)
        with Conversation(owner.client, self._cancel) as talk:
            (size,) = talk.ask_each([("MEMORY", "USAGE", key, "SAMPLES", 1)])
            if isinstance(size, Exception):
                # The size is told to be refused with the page; this look-up counts.
                there = bool(talk.ask("EXISTS", key))
                self._looked_up = (int(there), int(not there))
            else:
                there = size is not None
        if there:
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

    def _read(self, chosen: list[tuple[Primary, bytes]]) -> tuple[list[ListedKey], KeyDetails, str]:
        """Return the keys with what is known of them, and why their sizes are not."""
        read: dict[bytes, ListedKey] = {}
        hits = misses = 0
        refused = refused_details = ""
        owners: dict[Primary, list[bytes]] = {}
        for primary, key in chosen:
            owners.setdefault(primary, []).append(key)
        for primary, keys in owners.items():
            details = KeyDetails({})
            with Conversation(primary.client, self._cancel) as talk:
                sizes = talk.ask_each(("MEMORY", "USAGE", key) for key in keys)
                if self._details:
                    details = ask_details(talk, keys)
            hits += details.hits
            misses += details.misses
            refused_details = refused_details or details.refused
            for size, key in zip(sizes, keys, strict=True):
                if isinstance(size, Exception):
                    refused = refused or f"MEMORY USAGE: {size}"
                one = details.found.get(key, KeyDetail(""))
                known = size if isinstance(size, int) else None
                read[key] = ListedKey(key, known, one.type, one.ttl)
        found = [read[key] for _, key in chosen]
        return found, KeyDetails({}, hits, misses, refused_details), refused
