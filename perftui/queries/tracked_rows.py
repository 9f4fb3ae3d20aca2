"""The rows of an answer as a list that notes how far it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, SupportsIndex, overload

from perftui.queries.answer_watch import Watch


class TrackedRows(list[Any]):
    """A list that notes the last row which was come to."""

    __slots__ = ("_watch",)

    def __init__(self, rows: list[Any], watch: Watch) -> None:
        super().__init__(rows)
        self._watch = watch

    def __iter__(self) -> Iterator[Any]:
        for index, row in enumerate(super().__iter__()):
            self._watch.reads.looked(index)
            yield row

    @overload
    def __getitem__(self, place: SupportsIndex) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        found = super().__getitem__(place)
        if not isinstance(place, slice):
            index = place.__index__()
            self._watch.reads.looked(index if index >= 0 else index + len(self))
        return found
