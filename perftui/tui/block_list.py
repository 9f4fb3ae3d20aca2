"""Lists of records that take several lines each: which lines of which record fit in a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perftui.tui.lines import Line
from perftui.tui.table import Blocks


@dataclass(frozen=True)
class BlockPage:
    """The lines that fit, the index of the record of each (None: of none), and what is seen.

    `first` is the index of the first record, `whole` the number of records shown in full.
    """

    lines: list[Line]
    rows: list[int | None]
    first: int
    whole: int


class _Heights:
    """Lines of the records, made once each."""

    def __init__(self, records: Sequence[Any], blocks: Blocks[Any]) -> None:
        self._records = records
        self._blocks = blocks
        self._made: dict[int, Sequence[Line]] = {}

    def lines(self, index: int) -> Sequence[Line]:
        """Return the lines of one record."""
        made = self._made.get(index)
        if made is None:
            made = self._made[index] = self._blocks.lines(self._records[index])
        return made

    def heading(self, index: int, first: int) -> str:
        """Return the heading above a record when the list begins at `first`; may be empty."""
        section = self._blocks.section(self._records[index])
        if index > first and section == self._blocks.section(self._records[index - 1]):
            return ""
        return section

    def height(self, index: int, first: int) -> int:
        """Return the lines that a record takes with its heading."""
        return len(self.lines(index)) + bool(self.heading(index, first))

    def fit(self, first: int, last: int, room: int) -> bool:
        """Return whether the records from `first` to `last` fit in `room` lines."""
        for index in range(first, last + 1):
            room -= self.height(index, first)
            if room < 0:
                return False
        return True


def block_page(
    records: Sequence[Any], blocks: Blocks[Any], index: int, first: int, room: int
) -> BlockPage:
    """Return the page that begins at `first`, or as near to it as shows the record `index`.

    Where records follow below, the last line counts them.
    """
    heights = _Heights(records, blocks)
    end = len(records) - 1
    first = max(0, min(first, index, end))
    while first > 0 and heights.fit(first - 1, end, room):
        first -= 1
    limit = max(0, room)
    if not heights.fit(first, end, room):
        limit = max(0, room - 1)
        while first < index and not heights.fit(first, index, limit):
            first += 1
    lines: list[Line] = []
    rows: list[int | None] = []
    seen = whole = 0
    for position in range(first, len(records)):
        heading = heights.heading(position, first)
        if len(lines) + bool(heading) >= limit:
            break
        if heading:
            lines.append(((f" {heading}", "header"),))
            rows.append(None)
        block = heights.lines(position)
        lines += block
        rows += [position] * len(block)
        seen += 1
        whole += len(lines) <= limit
    lines, rows = lines[:limit], rows[:limit]
    hidden = len(records) - first - seen
    if limit < room and hidden:
        lines.append(((f" {hidden} {blocks.more}", "muted"),))
        rows.append(None)
    return BlockPage(lines, rows, first, whole)
