"""Which prefixes have the most keys and take the most memory, from a part of the keyspace.

SCAN and MEMORY USAGE only, which Redis counts neither as hits nor as misses; no value is read.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from perftui.cache.conversation import CancelledError, Conversation
from perftui.cache.key_groups import KeyGroups
from perftui.cache.latency_guard import LatencyGuard
from perftui.cache.pacing import Coverage, Pacing, pages
from perftui.cache.prefix_tally import Prefix, ServerTally, Totals
from perftui.cache.topology import Primary, topology

if TYPE_CHECKING:
    import redis

SAMPLE = 100_000
"""Keys that are sampled: a share of 1 % is then known to within 6 % of itself."""
MOST = 200
ELEMENTS = 5
"""Elements that MEMORY USAGE looks at of a large value; 0 would be all of a million."""
BATCH = 500
"""Sizes that are asked for at once: about 0.2 ms of the server for small values."""
GONE = -1
CURSOR_BITS = 40
ROUNDS = (0.0, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875)
"""Where later rounds go between the places of the first, when the pace has made pages small."""
PROGRESS_INTERVAL = 0.1


class PrefixSamples(msgspec.Struct, frozen=True):
    """What was found; `keys` are all there are, `sampled` those that were looked at.

    Exact once `complete`, apart from what is written meanwhile. Totals of `prefixes` of depth 1
    add up to `keys` with `merged`, keys of so many rare prefixes that these were not told apart,
    and with what is beyond the `most` that are kept. `size` is of all keys in bytes, None with the
    reason in `size_problem`. `error` is empty when all is well, `p99` what another client waited
    for a PING, in seconds.
    """

    prefixes: tuple[Prefix, ...]
    keys: int
    size: int | None
    sampled: int
    merged: int
    seconds: float
    complete: bool
    cancelled: bool
    p99: float | None = None
    size_problem: str = ""
    error: str = ""

    def biggest(self, limit: int, depth: int = 1) -> tuple[Prefix, ...]:
        """Return the prefixes that take the most memory."""
        found = [one for one in self.prefixes if one.depth == depth]
        return tuple(sorted(found, key=lambda one: (-(one.size or 0), -one.keys))[:limit])

    def most_frequent(self, limit: int, depth: int = 1) -> tuple[Prefix, ...]:
        """Return the prefixes with the most keys."""
        found = [one for one in self.prefixes if one.depth == depth]
        return tuple(sorted(found, key=lambda one: (-one.keys, -(one.size or 0)))[:limit])

    def parts(self, prefix: Prefix) -> tuple[Prefix, ...]:
        """Return the deeper groups of a prefix, in the order of `prefixes`."""
        return tuple(one for one in self.prefixes if one.parent == prefix.pattern)


class PrefixSampling:
    """Samples the keys of one server or of all primaries of a cluster, as gently as a dry run.

    `most` prefixes are kept by memory and as many by keys. `full` looks at all keys, about 100,000
    in a second. A single huge key may not be in a sample. Use from one thread; `cancel` from any.
    """

    def __init__(
        self,
        client: redis.Redis,
        separators: bytes | str = b":",
        most: int = MOST,
        full: bool = False,
        pace: Literal["normal", "gentle"] = "normal",
        sample: int = SAMPLE,
    ) -> None:
        given = separators.encode() if isinstance(separators, str) else separators
        self._groups = KeyGroups(given)
        self._client = client
        self._most = most
        self._full = full
        self._sample = max(1, sample)
        self._cancel = threading.Event()
        self._pacing = Pacing(pace == "gentle")
        self._size_problem = ""
        self._sizes_refused = False
        self._p99: float | None = None
        self._seen = self._wanted = 0
        self._shown = 0.0
        self._progress: Callable[[int, int], None] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it has been broken off."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Stop after the page under way; what was sampled until then is the result."""
        self._cancel.set()

    def run(self, progress: Callable[[int, int], None] | None = None) -> PrefixSamples:
        """Sample, calling `progress` with the keys seen and how many shall be.

        Never raises for Redis' sake.
        """
        import redis

        self._progress = progress
        start = time.perf_counter()
        error, complete = "", False
        tallies: list[tuple[ServerTally, int]] = []
        try:
            where = topology(self._client, self._cancel)
            try:
                complete = self._all(where.primaries, tallies)
            finally:
                where.close()
        except CancelledError:
            complete = False
        except (redis.RedisError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        totals = Totals()
        for tally, keys in tallies:
            # In a complete pass what was seen is what there is, whatever was written meanwhile.
            totals.add(tally, tally.sampled if complete else max(keys, tally.sampled))
        return PrefixSamples(
            prefixes=totals.prefixes(self._most),
            keys=totals.keys,
            size=None if totals.unsized else round(totals.size),
            sampled=totals.sampled,
            merged=round(totals.merged),
            seconds=time.perf_counter() - start,
            complete=complete,
            cancelled=self._cancel.is_set() and not complete,
            p99=self._p99,
            size_problem=self._size_problem,
            error=error,
        )

    def _all(self, primaries: tuple[Primary, ...], tallies: list[tuple[ServerTally, int]]) -> bool:
        """Sample every server by its share of the keys; True when all keys were seen."""
        for primary in primaries:
            with Conversation(primary.client, self._cancel) as talk:
                tallies.append((ServerTally(), int(talk.ask("DBSIZE"))))
        everything = sum(keys for _, keys in tallies)
        full = self._full or everything <= self._sample
        self._wanted = everything if full else self._sample
        complete = True
        for primary, (tally, keys) in zip(primaries, tallies, strict=True):
            if not keys:
                continue
            wanted = keys if full else math.ceil(self._sample * keys / everything)
            with Conversation(primary.client, self._cancel) as talk:
                guard = LatencyGuard(primary.client)
                guard.start()
                try:
                    self._pacing.begin(talk, guard)
                    complete = self._one(talk, tally, wanted, keys) and complete
                finally:
                    guard.stop()
                    if guard.p99 is not None:
                        self._p99 = max(self._p99 or 0.0, guard.p99)
        return complete and full

    def _one(self, talk: Conversation, tally: ServerTally, wanted: int, keys: int) -> bool:
        """Sample one server; True when the whole of what was wanted was seen."""
        if wanted >= keys:
            coverage = Coverage()
            for page in pages(talk, b"*", self._pacing, self._cancel, coverage):
                self._take(talk, tally, page)
            return coverage.complete
        for page in self._spread(talk, math.ceil(wanted / BATCH)):
            self._take(talk, tally, page)
            if tally.sampled >= wanted:
                break
        return tally.sampled >= wanted

    def _spread(self, talk: Conversation, count: int) -> Iterator[list[bytes]]:
        """Yield about `count` pages from places at even distances over the keyspace.

        SCAN goes through the hash table in the order of the reversed bits of its cursor, whatever
        the size of the table. So a fraction of the way is the cursor with that fraction's bits
        reversed. Hashing has shuffled the keys, which makes a page a sample.
        """
        begin = random.random()
        for number in range(len(ROUNDS) * count):
            if self._cancel.is_set():
                return
            before = time.perf_counter()
            place = (begin + number % count + ROUNDS[number // count]) / count % 1.0
            cursor = reversed_bits(int(place * 2**CURSOR_BITS))
            _, page = talk.ask("SCAN", cursor, "COUNT", min(BATCH, self._pacing.page))
            self._pacing.noted(talk.waited)
            yield page
            if self._pacing.rest_due():
                self._cancel.wait(time.perf_counter() - before)

    def _take(self, talk: Conversation, tally: ServerTally, page: list[bytes]) -> None:
        for first in range(0, len(page), BATCH):
            keys = page[first : first + BATCH]
            sizes = self._sizes(talk, keys)
            for key, size in zip(keys, sizes, strict=True):
                if size != GONE:
                    tally.add(key, size, self._groups.of(key))
        self._seen += len(page)
        now = time.perf_counter()
        if self._progress is not None and now - self._shown >= PROGRESS_INTERVAL:
            self._shown = now
            self._progress(min(self._seen, self._wanted), self._wanted)

    def _sizes(self, talk: Conversation, keys: list[bytes]) -> list[int | None]:
        """Return the memory of each key, GONE for one that is, None where Redis does not say."""
        if self._sizes_refused:
            return [None] * len(keys)
        replies = talk.ask_each(("MEMORY", "USAGE", key, "SAMPLES", ELEMENTS) for key in keys)
        sizes: list[int | None] = []
        for reply in replies:
            if isinstance(reply, Exception):
                self._size_problem = self._size_problem or str(reply)
                sizes.append(None)
            else:
                sizes.append(reply if isinstance(reply, int) else GONE)
        # A user who may see some keys only is told so key by key; else it is always the same.
        self._sizes_refused = len(keys) > 0 and sizes.count(None) == len(keys) == BATCH
        return sizes


def reversed_bits(number: int) -> int:
    """Return a number of CURSOR_BITS bits with its bits in the opposite order."""
    return int(f"{number:0{CURSOR_BITS}b}"[::-1], 2)
