"""The keys that left the memory tier last: what a tier of twice the size would still have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from perftui.cache.entry import Entry, Tally

LONGEST_KEY = 512
"""Bytes; longer keys are not remembered, so that the list stays small whatever the keys are."""
MOST_KEYS = 10_000
"""Keys remembered at most, which is about 3 MB with keys of 50 bytes."""


class _Ghost(NamedTuple):
    deadline: float
    cost: int
    tally: Tally


class GhostList:
    """Keys with deadline and cost, from the first to the last evicted, as many as one tier holds.

    The items of an LRU tier followed by this list are exactly what an LRU tier of twice the size
    would hold, because the smaller one always holds the most recently used part of the larger one
    (Mattson et al., "Evaluation techniques for storage hierarchies", 1970). With a limit in bytes
    and for other policies it is an estimate.

    Of more than `MOST_KEYS` only every n-th key by its hash is remembered and counts n times
    (Waldspurger et al., "Efficient MRC construction with SHARDS", 2015). Keys and not their hashes
    are kept, because an invalidation by pattern makes ghosts vanish as well.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._keys: OrderedDict[bytes, _Ghost] = OrderedDict()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._bytes = 0
        self._every = 1

    def __len__(self) -> int:
        return len(self._keys)

    def ask(self, key: bytes, now: float) -> None:
        """Count a look-up that the tier missed and the larger one would have answered at `now`."""
        found = self._keys.get(key)
        if found is not None and found.deadline > now:
            found.tally.ghost_hits += self._every

    def add(self, key: bytes, entry: Entry) -> None:
        """Remember a key that was evicted."""
        if len(key) > LONGEST_KEY or (self._every > 1 and hash(key) % self._every):
            return
        self.forget(key)
        self._keys[key] = _Ghost(entry.deadline, entry.cost, entry.tally)
        self._bytes += entry.cost
        every = self._every
        while len(self._keys) * every > self._max_items or self._bytes * every > self._max_bytes:
            self._bytes -= self._keys.popitem(last=False)[1].cost
        if len(self._keys) > MOST_KEYS:
            self._every *= 2
            for left_out in [key for key in self._keys if hash(key) % self._every]:
                self.forget(left_out)

    def forget(self, key: bytes) -> None:
        """Forget a key that is in the tier again, or in none any more."""
        found = self._keys.pop(key, None)
        if found is not None:
            self._bytes -= found.cost

    def forget_matching(self, matches: Callable[[bytes], bool]) -> None:
        """Forget the keys for which `matches` is true."""
        for key in [key for key in self._keys if matches(key)]:
            self.forget(key)

    def clear(self) -> None:
        self._keys.clear()
        self._bytes = 0
        self._every = 1
