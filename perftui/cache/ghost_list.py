"""The keys that left the memory tier last: what a tier of twice the size would still have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

LONGEST_KEY = 512
"""Bytes; longer keys are not remembered, so that the list stays small whatever the keys are."""


class GhostList:
    """Keys with deadline and cost, from the first to the last evicted, as many as one tier holds.

    The items of an LRU tier followed by this list are exactly what an LRU tier of twice the size
    would hold, because the smaller one always holds the most recently used part of the larger one
    (Mattson et al., "Evaluation techniques for storage hierarchies", 1970). With a limit in bytes
    and for other policies it is an estimate.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._keys: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, key: bytes, now: float) -> bool:
        """Tell whether the larger tier would have the key at `now`."""
        found = self._keys.get(key)
        return found is not None and found[0] > now

    def add(self, key: bytes, deadline: float, cost: int) -> None:
        """Remember a key that was evicted."""
        if len(key) > LONGEST_KEY:
            return
        self.forget(key)
        self._keys[key] = (deadline, cost)
        self._bytes += cost
        while len(self._keys) > self._max_items or self._bytes > self._max_bytes:
            self._bytes -= self._keys.popitem(last=False)[1][1]

    def forget(self, key: bytes) -> None:
        """Forget a key that is in the tier again, or in none any more."""
        found = self._keys.pop(key, None)
        if found is not None:
            self._bytes -= found[1]

    def forget_matching(self, matches: Callable[[bytes], bool]) -> None:
        """Forget the keys for which `matches` is true."""
        for key in [key for key in self._keys if matches(key)]:
            self.forget(key)

    def clear(self) -> None:
        self._keys.clear()
        self._bytes = 0
