"""The part of a cache that is in this process: bytes by key, bounded in number and in size."""

from __future__ import annotations

import os
import sysconfig
import threading
import time
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVarTuple, Unpack, get_args
from weakref import WeakSet

from perftui.cache.entry import Entry, Tally
from perftui.cache.expiry_round import ExpiryRound
from perftui.cache.ghost_list import GhostList
from perftui.cache.glob import literal, literal_prefix, matcher
from perftui.cache.lru import LruOrder
from perftui.cache.s3fifo import MOST_USES, S3FifoOrder

__all__ = ["POLICIES", "Entry", "MemoryTier", "Policy", "Tally"]

Policy: TypeAlias = Literal["lru", "s3fifo"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
# The class has a property of that name.
Bytes: TypeAlias = bytes
Arguments = TypeVarTuple("Arguments")

LARGEST_SHARE = 4
"""A value larger than one of so many parts of the room is not kept: it would displace too much."""
LOOKED_AT_EACH_PUT = 2
LOOKED_AT_FOR_ROOM = 8
"""Entries that are looked at for one that has ended, before one that has not is evicted."""
LOOKED_AT_EACH_READING = 10_000
"""The same before a number is told: of the largest tiers not all, which would take too long."""
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class MemoryTier:
    """Values by key, never more than `max_items` or `max_bytes` of them; safe between threads.

    An entry costs len(key) + len(value) + `overhead`, which is what Python itself needs for it. One
    that costs more than a quarter of `max_bytes` is not kept. `clock` is in seconds, deadlines are
    by it. What has ended leaves when it is asked for or soon after: each write looks at a few
    entries, each reading of `items` or `bytes` at many. With `ghost=True` the keys evicted last are
    remembered for `hit_ratio_if_doubled`.

    A change made from within another change of the same thread, as a signal handler or a finaliser
    may do, is applied as soon as the other one is done, and returns 0 or False. A forked child
    begins empty, because nobody tells it what to drop until it has a connection of its own.

    Raises ValueError for limits below 1 or an unknown policy.
    """

    def __init__(
        self,
        max_items: int = 1000,
        max_bytes: int = 100_000_000,
        policy: Policy = "lru",
        clock: Callable[[], float] = time.monotonic,
        *,
        ghost: bool = False,
    ) -> None:
        if max_items < 1 or max_bytes < 1:
            raise ValueError(f"limits are {max_items!r} items, {max_bytes!r} bytes; at least 1")
        if policy not in POLICIES:
            raise ValueError(f"unknown policy {policy!r}; use one of {', '.join(POLICIES)}")
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.policy = policy
        self.misses = 0
        self._clock = clock
        self._order = LruOrder() if policy == "lru" else S3FifoOrder(max_items, max_bytes)
        self.overhead = self._order.overhead
        self._find = self._order.entries.get
        self._touch = self._order.touch
        self._round = ExpiryRound(self._order.entries)
        self._ghost = GhostList(max_items, max_bytes) if ghost else None
        self._bytes = 0
        self._values = [Tally(0)]
        self._absences = [Tally(0)]
        self._lock = threading.RLock()
        self._changing = False
        self._waiting: list[Callable[[], object]] = []
        _ALL.add(self)

    def _get(self, key: Bytes) -> Entry | None:
        """Return the entry, None when there is none or its deadline has passed.

        Counts a hit under the namespace the entry was put with, a miss in `misses`. An entry for a
        key known to be absent counts in `negatives` instead.
        """
        # No lock: finding, moving to the end and each `+=` are one step for other threads. The
        # first two are C calls on bytes keys, which run no Python code; an interpreter with a
        # global lock gives it away at calls and at jumps backwards only, and there is neither
        # between reading and writing a counter.
        entry = self._find(key)
        if entry is None:
            self.misses += 1
            if self._ghost is not None:
                self._ghost.ask(key, self._clock())
            return None
        if entry.deadline <= self._clock():
            self.misses += 1
            self._change(self._expire, key, entry)
            return None
        if self._touch is None:
            if entry.uses < MOST_USES:
                entry.uses += 1
        else:
            try:
                self._touch(key)
            except KeyError:
                # Another thread has dropped it since it was found.
                return self._get(key)
        entry.tally.hits += 1
        return entry

    def _get_locked(self, key: Bytes) -> Entry | None:
        with self._lock:
            return self._get(key)

    get = _get_locked if FREE_THREADED else _get

    def put(self, key: Bytes, value: Bytes | None, deadline: float, namespace: int = 0) -> bool:
        """Keep a value, None for a key known to be absent; return whether it is kept.

        What the key had before is gone in any case, also when the new value is too large or its
        deadline has passed already.
        """
        return bool(self._change(self._put, key, value, deadline, namespace))

    def drop(self, key: Bytes) -> bool:
        """Remove a key; return whether it was there."""
        return bool(self._change(self._drop, key))

    def drop_matching(self, glob: Bytes) -> int:
        """Remove all keys that match a pattern as Redis understands it; return how many."""
        return self._change(self._drop_matching, glob)

    def drop_expired(self, most: int | None = None) -> int:
        """Remove everything whose deadline has passed; return how many.

        With `most` so many entries are looked at; the next call goes on with the others.
        """
        if most is None:
            return self._change(self._drop_expired)
        return self._change(self._drop_some_expired, self._clock(), most)

    def clear(self) -> int:
        """Remove everything; return how many there were."""
        return self._change(self._clear)

    @property
    def items(self) -> int:
        self.drop_expired(LOOKED_AT_EACH_READING)
        return len(self._order.entries)

    @property
    def hits(self) -> int:
        return sum(tally.hits for tally in self._values)

    @property
    def negatives(self) -> int:
        """Look-ups answered by an entry for an absent key: neither hits nor misses."""
        return sum(tally.hits for tally in self._absences)

    @property
    def evictions(self) -> int:
        """Entries that left for want of room before their deadline."""
        return sum(tally.evictions for tally in (*self._values, *self._absences))

    @property
    def expirations(self) -> int:
        """Entries that were removed because their deadline had passed."""
        return sum(tally.expirations for tally in (*self._values, *self._absences))

    @property
    def has_ghost(self) -> bool:
        """Whether it tells what a tier of twice the size would do."""
        return self._ghost is not None

    @property
    def ghost_hits(self) -> int:
        """Misses that a tier of twice the size would have answered with a value."""
        return sum(tally.ghost_hits for tally in self._values)

    @property
    def hit_ratio_if_doubled(self) -> float | None:
        """Hits over look-ups of a tier of twice the size; None without look-ups or ghost list."""
        hits, ghost_hits = self.hits, self.ghost_hits
        lookups = hits + self.negatives + self.misses
        if self._ghost is None or not lookups:
            return None
        return min(1.0, (hits + ghost_hits) / lookups)

    def tallies(self) -> tuple[tuple[Tally, Tally], ...]:
        """Return for each namespace number what was counted for values and for known absences."""
        self.drop_expired(LOOKED_AT_EACH_READING)
        with self._lock:
            return tuple(zip(self._values, self._absences, strict=True))

    def _change(self, change: Callable[[Unpack[Arguments]], int], *arguments: *Arguments) -> int:
        with self._lock:
            if self._changing:
                # Only this thread itself can be here: it was interrupted in the middle.
                self._waiting.append(lambda: self._change(change, *arguments))
                return 0
            self._changing = True
            try:
                done = change(*arguments)
            except BaseException:
                # An interrupt from the keyboard may come between an entry and its accounting. An
                # empty tier is always right; what waited would otherwise come later, out of date.
                self._waiting.clear()
                self._clear()
                raise
            finally:
                self._changing = False
            while self._waiting:
                self._waiting.pop(0)()
            return done

    def _put(self, key: Bytes, value: Bytes | None, deadline: float, namespace: int) -> int:
        cost = len(key) + self.overhead + (0 if value is None else len(value))
        now = self._clock()
        if self._ghost is not None:
            self._ghost.forget(key)
        if cost * LARGEST_SHARE > self.max_bytes or deadline <= now:
            self._remove(key)
            return 0
        if self._round.soonest <= now:
            self._drop_some_expired(now, LOOKED_AT_EACH_PUT)
        entries = self._order.entries
        before = self._find(key)
        freed = 0 if before is None else before.cost
        while self._bytes - freed + cost > self.max_bytes or (
            before is None and len(entries) >= self.max_items
        ):
            if not self._drop_some_expired(now, LOOKED_AT_FOR_ROOM):
                self._evict(now)
            before = self._find(key)
            freed = 0 if before is None else before.cost
        if before is not None:
            self._leave(before)
        tally = self._tally(self._absences if value is None else self._values, namespace)
        self._order.put(key, Entry(value, deadline, cost, tally))
        if deadline < self._round.soonest_next:
            self._round.note(deadline)
        self._bytes += cost
        tally.items += 1
        tally.bytes += cost
        tally.sets += 1
        return 1

    def _drop(self, key: Bytes) -> int:
        if self._ghost is not None:
            self._ghost.forget(key)
        return 0 if self._remove(key) is None else 1

    def _drop_matching(self, glob: Bytes) -> int:
        key = literal(glob)
        if key is not None:
            return self._drop(key)
        prefix, matches = literal_prefix(glob), matcher(glob)
        if self._ghost is not None:
            self._ghost.forget_matching(matches)
        # dict's own view, because that of an OrderedDict fails when a reader moves a key meanwhile.
        keys = dict.keys(self._order.entries)
        found = [key for key in keys if key.startswith(prefix) and matches(key)]
        for key in found:
            self._remove(key)
        return len(found)

    def _drop_expired(self) -> int:
        now = self._clock()
        entries = dict.items(self._order.entries)
        found = [(key, entry) for key, entry in entries if entry.deadline <= now]
        return sum(self._expire(key, entry) for key, entry in found)

    def _drop_some_expired(self, now: float, most: int) -> int:
        return sum(self._expire(key, entry) for key, entry in self._round.ended(now, most))

    def _clear(self) -> int:
        count = len(self._order.entries)
        self._order.clear()
        self._round.clear()
        if self._ghost is not None:
            self._ghost.clear()
        self._bytes = 0
        for tally in (*self._values, *self._absences):
            tally.items = tally.bytes = 0
        return count

    def _expire(self, key: Bytes, entry: Entry) -> int:
        # It may have been replaced since it was found.
        if self._find(key) is not entry:
            return 0
        self._remove(key)
        entry.tally.expirations += 1
        return 1

    def _evict(self, now: float) -> None:
        key, entry = self._order.evict()
        self._leave(entry)
        if entry.deadline <= now:
            entry.tally.expirations += 1
            return
        entry.tally.evictions += 1
        if self._ghost is not None:
            self._ghost.add(key, entry)

    def _remove(self, key: Bytes) -> Entry | None:
        entry = self._order.remove(key)
        if entry is not None:
            self._leave(entry)
        return entry

    def _leave(self, entry: Entry) -> None:
        self._bytes -= entry.cost
        entry.tally.items -= 1
        entry.tally.bytes -= entry.cost

    def _tally(self, tallies: list[Tally], namespace: int) -> Tally:
        while len(self._values) <= namespace:
            self._absences.append(Tally(len(self._values)))
            self._values.append(Tally(len(self._values)))
        return tallies[namespace]

    def after_fork(self) -> None:
        """Begin empty in a forked child; called by itself there, and harmless when repeated.

        A thread that exists in the parent only may have held the lock and left a change half done.
        """
        self._lock = threading.RLock()
        self._changing = False
        self._waiting.clear()
        self._clear()

    # Below everything else, since the name hides the type within the class.
    @property
    def bytes(self) -> int:
        self.drop_expired(LOOKED_AT_EACH_READING)
        return self._bytes


_ALL: WeakSet[MemoryTier] = WeakSet()


def _all_after_fork() -> None:
    for tier in _ALL:
        tier.after_fork()


os.register_at_fork(after_in_child=_all_after_fork)
