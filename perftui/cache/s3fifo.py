"""S3-FIFO: most new keys are never asked for again and leave early, through a small queue.

Juncheng Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023. New keys enter
a small queue of a tenth of the room; those asked for again move to the main queue, the others
leave, and a key that returns soon after enters the main queue at once. Nothing is moved on a hit.
"""

from __future__ import annotations

from collections import OrderedDict

from perftui.cache.entry import Entry

SMALL_SHARE = 10
"""The small queue has one of so many parts of the room."""
MOST_USES = 3


class S3FifoOrder:
    """Entries in a small and a main queue, and the hashes of keys that left the small one.

    Reading needs no lock: see MemoryTier.get. Changes are made by one thread at a time.
    """

    overhead = 288
    """Bytes an entry costs besides its key and its value, as tracemalloc tells: 290."""
    touch = None

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.entries: dict[bytes, Entry] = {}
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._left: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0
        self._small_items_limit = max(1, max_items // SMALL_SHARE)
        self._small_bytes_limit = max_bytes // SMALL_SHARE
        self._left_limit = max(1, max_items - self._small_items_limit)

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry, in place of the one the key has."""
        before = self.entries.get(key)
        if before is not None:
            entry.uses, entry.in_main = before.uses, before.in_main
            if not entry.in_main:
                self._small_bytes -= before.cost
        elif hash(key) in self._left:
            del self._left[hash(key)]
            entry.in_main = True
        self.entries[key] = entry
        if entry.in_main:
            self._main[key] = entry
        else:
            self._small[key] = entry
            self._small_bytes += entry.cost

    def remove(self, key: bytes) -> Entry | None:
        """Take an entry out; None when there is none."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return None
        if entry.in_main:
            del self._main[key]
        else:
            del self._small[key]
            self._small_bytes -= entry.cost
        return entry

    def evict(self) -> tuple[bytes, Entry]:
        """Take the least valuable entry out; there must be one.

        An entry is passed over at most three times for each time it was asked for, so that this is
        short on average.
        """
        while True:
            evicted = self._from_small() if self._small_is_next() else self._from_main()
            if evicted is not None:
                del self.entries[evicted[0]]
                return evicted

    def clear(self) -> None:
        self.entries.clear()
        self._small.clear()
        self._main.clear()
        self._left.clear()
        self._small_bytes = 0

    def _small_is_next(self) -> bool:
        return not self._main or (
            len(self._small) >= self._small_items_limit
            or self._small_bytes >= self._small_bytes_limit
        )

    def _from_small(self) -> tuple[bytes, Entry] | None:
        key, entry = self._small.popitem(last=False)
        self._small_bytes -= entry.cost
        if entry.uses > 1:
            entry.uses = 0
            entry.in_main = True
            self._main[key] = entry
            return None
        # The hash is enough, and as long for any key.
        self._left[hash(key)] = None
        if len(self._left) > self._left_limit:
            self._left.popitem(last=False)
        return key, entry

    def _from_main(self) -> tuple[bytes, Entry] | None:
        key, entry = self._main.popitem(last=False)
        if entry.uses > 0:
            entry.uses -= 1
            self._main[key] = entry
            return None
        return key, entry
