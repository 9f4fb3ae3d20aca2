"""Alerts that come and go: the more often, the longer they have to be well before they end."""

from __future__ import annotations

from collections import deque

MANY = 5
PERIOD = 600.0
"""MANY changes within PERIOD seconds are flapping."""
SHORTEST_KEEP = 30.0
"""Where doubling begins for a rule that ends its alerts at once."""
LONGEST_KEEP = 3600.0
"""Doubling ends here, as in Netdata's growing delay."""


class Flapping:
    """The newest changes between firing and not of one subject under one rule."""

    __slots__ = ("_changes", "_doublings")

    def __init__(self) -> None:
        self._changes: deque[float] = deque(maxlen=MANY)
        self._doublings = 0

    @property
    def active(self) -> bool:
        """Whether it flaps."""
        return self._doublings > 0

    def change(self, now: float) -> None:
        """Count one change at monotonic time `now`."""
        self._changes.append(now)
        often = len(self._changes) == MANY and now - self._changes[0] <= PERIOD
        if often or self._doublings:
            self._doublings += 1

    def keep(self, keep: float) -> float:
        """Return for how many seconds it has to be well, where `keep` is usual."""
        if not self._doublings:
            return keep
        # Sixteen doublings are beyond every limit; more would only make the number huge.
        longer = max(keep, SHORTEST_KEEP) * 2.0 ** min(self._doublings, 16)
        return max(keep, min(longer, LONGEST_KEEP))

    def over(self, now: float, keep: float) -> bool:
        """Whether the last change is so long ago that it can be forgotten."""
        return not self._changes or now - self._changes[-1] > max(PERIOD, self.keep(keep))
