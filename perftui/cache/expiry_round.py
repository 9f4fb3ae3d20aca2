"""Finding what has ended without looking at everything: a few entries at each write."""

from __future__ import annotations

import math

from perftui.cache.entry import Entry


class ExpiryRound:
    """Goes round and round through the entries of a tier, some at a time.

    Nothing is looked at before `soonest`, the earliest deadline that is known of; `soonest_next` is
    what it will be after this round, and never before it. An entry that has ended is found within a
    round. Changed by one thread at a time; `entries` may be read by others meanwhile.
    """

    def __init__(self, entries: dict[bytes, Entry]) -> None:
        self._entries = entries
        self._left: list[bytes] = []
        self.soonest = self.soonest_next = math.inf

    def note(self, deadline: float) -> None:
        """Take the deadline of an entry that is put now, if it is before `soonest_next`."""
        self.soonest = min(deadline, self.soonest)
        self.soonest_next = min(deadline, self.soonest_next)

    def ended(self, now: float, most: int) -> list[tuple[bytes, Entry]]:
        """Look at so many entries and return those whose deadline has passed."""
        found: list[tuple[bytes, Entry]] = []
        left, entries = self._left, self._entries
        # After one whole round nothing is left that has ended, so this is at most twice.
        while now >= self.soonest and most > 0:
            if not left:
                # dict's own view, because that of an OrderedDict fails when a reader moves a key.
                left += dict.keys(entries)
                # What came first is the likeliest to have ended.
                left.reverse()
                self.soonest_next = math.inf
            looked_at = left[-most:]
            del left[-most:]
            most -= len(looked_at)
            for key in looked_at:
                entry = entries.get(key)
                if entry is None:
                    continue
                if entry.deadline <= now:
                    found.append((key, entry))
                elif entry.deadline < self.soonest_next:
                    self.soonest_next = entry.deadline
            if not left:
                self.soonest = self.soonest_next
        return found

    def clear(self) -> None:
        """Begin anew with a tier that was emptied."""
        self._left.clear()
        self.soonest = self.soonest_next = math.inf
