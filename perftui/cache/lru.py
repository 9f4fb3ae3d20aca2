"""Least recently used: what was not asked for the longest goes first."""

from __future__ import annotations

from collections import OrderedDict

from perftui.cache.entry import Entry


class LruOrder:
    """Entries from the least to the most recently used.

    Reading needs no lock: see MemoryTier.get. Changes are made by one thread at a time.
    """

    overhead = 256
    """Bytes an entry costs besides its key and its value, as tracemalloc tells: 230 to 270."""

    def __init__(self) -> None:
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.touch = self.entries.move_to_end

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry, in place of the one the key has."""
        self.entries[key] = entry
        self.entries.move_to_end(key)

    def remove(self, key: bytes) -> Entry | None:
        """Take an entry out; None when there is none."""
        return self.entries.pop(key, None)

    def evict(self) -> tuple[bytes, Entry]:
        """Take the least valuable entry out; there must be one."""
        return self.entries.popitem(last=False)

    def clear(self) -> None:
        self.entries.clear()
