"""Counts of what one client did with answers to queries of one shape."""

from __future__ import annotations

from typing import Final

from perftui.queries.evidence import (
    ClientUse,
    FieldUse,
    GlanceUse,
    Reads,
    Repeats,
    Singles,
    Spread,
)
from perftui.queries.observation import Observation

MOST_FIELDS: Final = 300
MOST_SPREAD: Final = 200
MOST_GLANCES: Final = 50


class Histogram:
    """How often numbers came up, exact while they are few, then in steps of an eighth."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, list[int]] = {}

    def add(self, value: int, censored: bool = False) -> None:
        """Count a number; `censored`: it may have been more."""
        if value not in self._counts and len(self._counts) >= MOST_SPREAD:
            value = _coarse(value)
            if value not in self._counts and len(self._counts) >= 2 * MOST_SPREAD:
                value = min(self._counts, key=lambda each: abs(each - value))
        cell = self._counts.setdefault(value, [0, 0])
        cell[0] += 1
        cell[1] += censored

    def spread(self) -> tuple[Spread, ...]:
        """Return the counts by number."""
        return tuple(Spread(value, *cell) for value, cell in sorted(self._counts.items()))


def _coarse(value: int) -> int:
    """Return the next number of three significant bits, at most an eighth less."""
    shift = max(0, value.bit_length() - 4)
    return value >> shift << shift


class ClientTally:
    """What `ClientUse` is made of; not thread-safe."""

    __slots__ = (
        "asked",
        "bulk",
        "calls",
        "consumed",
        "fields",
        "first",
        "glances",
        "last",
        "listed",
        "lists",
        "opaque",
        "polls",
        "repeated",
        "session_pages",
        "session_rows",
        "single_endpoint",
        "single_seconds",
        "single_shape",
        "singles",
        "tracked",
        "unchanged",
        "unknown",
        "untouched",
    )

    def __init__(self) -> None:
        self.calls = self.tracked = self.bulk = self.opaque = self.unknown = self.untouched = 0
        self.first: float | None = None
        self.last: float | None = None
        # path: returned, tracked, read, bytes, sized, last read (-1: never)
        self.fields: dict[str, list[float]] = {}
        self.consumed = Histogram()
        self.session_rows = Histogram()
        self.session_pages = Histogram()
        self.glances: dict[str, list[int]] = {}
        self.asked = self.repeated = self.polls = self.unchanged = 0
        self.listed = self.lists = self.singles = 0
        self.single_seconds = 0.0
        self.single_endpoint = self.single_shape = ""

    def add_reads(self, seen: Observation) -> None:
        """Count what an observation tells of what the client reads."""
        tracked = seen.read_mode == "tracked"
        if tracked:
            self.tracked += 1
            self.untouched += not seen.fields_read
        elif seen.read_mode == "bulk":
            self.bulk += 1
        elif seen.read_mode == "opaque":
            self.opaque += 1
        else:
            self.unknown += 1
        if tracked:
            self.first = seen.time if self.first is None else min(self.first, seen.time)
            self.last = seen.time if self.last is None else max(self.last, seen.time)
        if seen.fields_returned:
            self._add_fields(seen, tracked)
        if seen.rows_consumed is not None:
            self.consumed.add(seen.rows_consumed, seen.rows_consumed >= seen.rows_returned > 0)
        for glance in seen.glances:
            if glance.field in self.glances or len(self.glances) < MOST_GLANCES:
                cell = self.glances.setdefault(glance.field, [0, 0, 0])
                cell[0] += 1
                cell[1] += glance.rows
                cell[2] += glance.dropped

    def _add_fields(self, seen: Observation, tracked: bool) -> None:
        # What was taken at once was read in full: every field counts as used.
        bulk = seen.read_mode == "bulk"
        read = seen.fields_read or frozenset()
        fields = self.fields
        for path, size in seen.fields_returned.items():
            cell = fields.get(path)
            if cell is None:
                if len(fields) >= MOST_FIELDS:
                    continue
                cell = fields[path] = [0, 0, 0, 0, 0, -1.0]
            cell[0] += 1
            if size:
                cell[3] += size
                cell[4] += 1
            if tracked or bulk:
                cell[1] += 1
                if bulk or path in read:
                    cell[2] += 1
                    cell[5] = max(cell[5], seen.time)

    def use(self, client: str, within: float) -> ClientUse:
        """Return the counts as evidence; `within` is what makes a repeat, in seconds."""
        return ClientUse(
            client=client,
            calls=self.calls,
            reads=Reads(
                self.tracked,
                self.bulk,
                self.opaque,
                self.unknown,
                self.untouched,
                self.first,
                self.last,
            ),
            fields=tuple(
                FieldUse(
                    path,
                    int(cell[0]),
                    int(cell[1]),
                    int(cell[2]),
                    int(cell[3]),
                    int(cell[4]),
                    cell[5] if cell[5] >= 0 else None,
                )
                for path, cell in self.fields.items()
            ),
            consumed=self.consumed.spread(),
            session_rows=self.session_rows.spread(),
            session_pages=self.session_pages.spread(),
            repeats=Repeats(self.asked, self.repeated, within, self.polls, self.unchanged),
            singles=Singles(
                self.listed,
                self.lists,
                self.singles,
                self.single_seconds,
                self.single_endpoint,
                self.single_shape,
            ),
            glances=tuple(GlanceUse(field, *cell) for field, cell in self.glances.items()),
        )
