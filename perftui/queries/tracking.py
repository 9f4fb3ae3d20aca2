"""Rows handed out so that it is noted which of their fields are read."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from perftui.queries.answer_watch import Watch
from perftui.queries.blind_serialisers import BlindSerialisers
from perftui.queries.field_reads import AnswerReads, TrackedReads
from perftui.queries.field_sizes import field_sizes
from perftui.queries.row_view import RowView
from perftui.queries.tracked_object import fields_of, tracked_object
from perftui.queries.tracked_row import TrackedRow
from perftui.queries.tracked_rows import TrackedRows

_OPAQUE: Final = TrackedReads({}, frozenset(), "opaque", 0, ())


class Tracker:
    """Makes tracked rows, and tells what was read of an answer once all its rows are gone.

    `trusted` names serialisers that would read rows unseen and of which it is known that they get
    none. `strict` hands out mappings that are no dicts: nothing reads them unseen, but code that
    insists on dicts fails; for tests, not for production.
    """

    def __init__(self, trusted: Collection[str] = (), *, strict: bool = False) -> None:
        self._blind = BlindSerialisers(_probe, trusted)
        self._strict = strict

    def track(self, rows: Iterable[Any], done: Callable[[TrackedReads], None]) -> list[Any]:
        """Return the rows as a list that watches them; `done` is told what was read of them.

        It is told in the thread in which the last row goes, perhaps in the midst of anything: it
        must neither wait nor take a lock. Rows that cannot be watched are handed out as they are,
        and `done` is told at once.
        """
        found = list(rows)
        reads = AnswerReads(_fields(found))
        watch = Watch(reads)
        try:
            made = [self._row(row, watch, index) for index, row in enumerate(found)]
        except TypeError:
            done(_OPAQUE._replace(fields_returned=reads.fields))
            return found
        # Only the storage of a dict can be read past its methods.
        sure = not any(isinstance(row, TrackedRow) for row in made)
        weakref.finalize(watch, self._tell, reads, sure, done).atexit = False
        return TrackedRows(made, watch)

    def _row(self, row: Any, watch: Watch, index: int) -> Any:
        if type(row) is dict:
            if self._strict:
                return RowView(row, watch, index)
            return TrackedRow(row, watch, index)
        return tracked_object(row, watch, index)

    def _tell(self, reads: AnswerReads, sure: bool, done: Callable[[TrackedReads], None]) -> None:
        done(reads.result(not sure and bool(self._blind.loaded())))


def _fields(rows: list[Any]) -> dict[str, int]:
    """Return the fields of rows with their bytes; those of objects without."""
    if not rows:
        return {}
    if all(type(row) is dict for row in rows):
        return field_sizes(rows)
    return dict.fromkeys(fields_of(type(rows[0])) or (), 0)


def _probe() -> tuple[object, Callable[[], bool]]:
    reads = AnswerReads({"field": 1})
    row = TrackedRow({"field": 1}, Watch(reads), 0)
    return row, lambda: reads.whole or bool(reads.rows)
