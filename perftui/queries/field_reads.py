"""What is read of the rows of one answer, as it happens."""

from __future__ import annotations

from typing import Final, NamedTuple

from perftui.queries.observation import Glance, ReadMode

MOST_GLANCED_FIELDS: Final = 8


class TrackedReads(NamedTuple):
    """What was read of an answer: fields, rows up to the last one looked at, rows dropped.

    `rows_consumed` is None where code that hides its reads may have had the rows.
    """

    fields_returned: dict[str, int]
    fields_read: frozenset[str]
    read_mode: ReadMode
    rows_consumed: int | None
    glances: tuple[Glance, ...]


class AnswerReads:
    """Collects the reads of one answer; cheap, and safe to be told from several threads.

    `whole` means that rows were taken at once, by code that may have used any of their fields.
    """

    __slots__ = ("consumed", "fields", "rows", "whole")

    def __init__(self, fields: dict[str, int]) -> None:
        self.fields = fields
        self.rows: dict[int, set[str]] = {}
        self.whole = False
        self.consumed = 0

    def field(self, row: int, name: object) -> None:
        """Note that a field of a row was read."""
        if isinstance(name, str):
            read = self.rows.get(row)
            if read is None:
                read = self.rows.setdefault(row, set())
            read.add(name)
        if row >= self.consumed:
            self.consumed = row + 1

    def everything(self, row: int) -> None:
        """Note that a row was taken as a whole."""
        self.whole = True
        if row >= self.consumed:
            self.consumed = row + 1

    def looked(self, row: int) -> None:
        """Note that a row was come to, whatever was read of it."""
        if row >= self.consumed:
            self.consumed = row + 1

    def result(self, blind: bool) -> TrackedReads:
        """Return what was read; `blind`: code that hides its reads may have had the rows."""
        read = frozenset(name for names in self.rows.values() for name in names)
        mode: ReadMode = "bulk" if self.whole else "opaque" if blind else "tracked"
        if self.whole:
            read = frozenset(self.fields) | read
        consumed = None if mode == "opaque" else self.consumed
        return TrackedReads(self.fields, read, mode, consumed, self._glances(blind))

    def _glances(self, blind: bool) -> tuple[Glance, ...]:
        """Return for each field the rows of which it alone was read, if that happened at all."""
        if self.whole or blind or not self.rows:
            return ()
        counts: dict[str, list[int]] = {}
        for names in list(self.rows.values()):
            for name in names:
                cell = counts.setdefault(name, [0, 0])
                cell[0] += 1
                cell[1] += len(names) == 1
        dropped = [Glance(name, *cell) for name, cell in counts.items() if cell[1]]
        dropped.sort(key=lambda each: -each.dropped)
        return tuple(dropped[:MOST_GLANCED_FIELDS])
