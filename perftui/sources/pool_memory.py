"""What is kept of a pool between two readings: its newest events, and the picks of a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from perftui.pool.server_view import Decoded, ServerView
from perftui.snapshot import PoolEvent

MOST_EVENTS = 50
SPAN = 60.0
"""Seconds over which picks are counted."""
MARK_EVERY = 5.0
LARGE = 200
"""Servers from which on a pool's `KEPT` parts are not read each time."""
KEEP = 5.0
"""Seconds for which they are kept."""
KEPT = ("picks", "meta")
"""What moves slowly: the picks count for a minute, the rest is said at a registration only.

Parsing replies is most of what a large pool costs here; half of its processor time is these two.
"""


class Grown(NamedTuple):
    """How many picks each server got in so many seconds; None while there is one reading only."""

    picks: dict[str, int] | None
    seconds: float


class PoolMemory:
    """The past of one pool, told by each reading in turn."""

    def __init__(self) -> None:
        self.decoded = Decoded()
        self.last_grown = Grown(None, 0.0)
        self._kept: dict[str, tuple[float, Any]] = {}
        self._servers = 0
        self._marks: deque[tuple[float, dict[str, int]]] = deque()
        self._events: tuple[tuple[bytes, PoolEvent], ...] = ()

    @property
    def newest(self) -> bytes:
        """The id of the newest event that is known, `-` for none."""
        return self._events[0][0] if self._events else b"-"

    def forget_picks(self) -> None:
        """Begin to count anew, after a rest."""
        self._marks.clear()
        self._kept.pop("picks", None)
        self.last_grown = Grown(None, 0.0)

    def forget_kept(self) -> None:
        """Have everything read anew."""
        self._kept.clear()

    def wanted(self, parts: Sequence[str], now: float) -> tuple[str, ...]:
        """Return which parts are to be read; of those that are kept, one at a time."""
        old: list[str] = []
        if self._servers >= LARGE:
            kept = self._kept
            old = [part for part in KEPT if part in kept and now - kept[part][0] < KEEP]
            if not old and len(kept) == len(KEPT):
                # Both at once would make this reading dearer than the others for nothing.
                old = [max(reversed(KEPT), key=lambda part: kept[part][0])]
        return tuple(part for part in parts if part not in old)

    def misses(self, read: Mapping[str, Any]) -> bool:
        """Return whether a server was heard of that is not in what is kept."""
        if "meta" in read or isinstance(read["seen"], Exception):
            return False
        known = self._kept["meta"][1][::2]
        return not set(read["seen"][::2]) <= set(known)

    def completed(self, read: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Return what was read with what is kept, and keep what was read."""
        for part in KEPT:
            if part in read and isinstance(read[part], Exception):
                self._kept.pop(part, None)
            elif part in read:
                self._kept[part] = (now, read[part])
        seen = read["seen"]
        self._servers = 0 if isinstance(seen, Exception) else len(seen) // 2
        return {**{part: reply for part, (_, reply) in self._kept.items()}, **read}

    def grown(self, now: float, views: Sequence[ServerView]) -> Grown:
        """Return the picks since up to a minute ago; `now` is seconds by the clock of Redis."""
        picks = {view.id: view.picks or 0 for view in views}
        marks = self._marks
        if marks and now < marks[-1][0]:
            # The clock of Redis was put back, so the distance to the marks is not known.
            marks.clear()
        while len(marks) > 1 and marks[1][0] <= now - SPAN:
            marks.popleft()
        if marks and now - marks[0][0] > 2 * SPAN:
            marks.clear()
        grown: dict[str, int] | None = None
        seconds = now - marks[0][0] if marks else 0.0
        if seconds > 0:
            before = marks[0][1]
            # A count that fell was begun anew: what is in it came since.
            grown = {
                server: count - before.get(server, 0) if count >= before.get(server, 0) else count
                for server, count in picks.items()
            }
        if not marks or now - marks[-1][0] >= MARK_EVERY:
            marks.append((now, picks))
        self.last_grown = Grown(grown, seconds)
        return self.last_grown

    def events(self, entries: Sequence[Sequence[object]]) -> tuple[PoolEvent, ...]:
        """Add stream entries from the newest down to the one known last; return the newest."""
        read = tuple(_event(identity, fields) for identity, fields in entries)
        if read and self._events and read[-1][0] == self._events[0][0]:
            read = (*read[:-1], *self._events)
        self._events = read[:MOST_EVENTS]
        return tuple(event for _, event in self._events)


def _event(identity: object, fields: object) -> tuple[bytes, PoolEvent]:
    name = identity if isinstance(identity, bytes) else b""
    flat = fields if isinstance(fields, list) else []
    words = {
        bytes(field): bytes(value).decode("utf-8", "surrogateescape")
        for field, value in zip(flat[::2], flat[1::2], strict=False)
    }
    return name, PoolEvent(
        int(name.partition(b"-")[0] or b"0") / 1000,
        words.get(b"kind", ""),
        words.get(b"server", ""),
        words.get(b"by", ""),
        words.get(b"reason", ""),
    )
