"""A row that is a mapping and no dict, so that nothing can read it unseen."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from perftui.queries.answer_watch import Watch


class RowView(Mapping[str, Any]):
    """A mapping whose every read is noted; serialisers in C that know dicts only refuse it."""

    __slots__ = ("_index", "_row", "_watch")

    def __init__(self, row: Mapping[str, Any], watch: Watch, index: int) -> None:
        self._row = row
        self._watch = watch
        self._index = index

    def __getitem__(self, key: str) -> Any:
        self._watch.reads.field(self._index, key)
        return self._row[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        self._watch.reads.field(self._index, key)
        return self._row.get(key, default)

    def __contains__(self, key: object) -> bool:
        self._watch.reads.field(self._index, key)
        return key in self._row

    def __iter__(self) -> Iterator[str]:
        self._watch.reads.everything(self._index)
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    def keys(self) -> KeysView[str]:
        """Return the keys; a look at all fields."""
        self._watch.reads.everything(self._index)
        return self._row.keys()

    def values(self) -> ValuesView[Any]:
        """Return the values; a look at all fields."""
        self._watch.reads.everything(self._index)
        return self._row.values()

    def items(self) -> ItemsView[str, Any]:
        """Return keys and values; a look at all fields."""
        self._watch.reads.everything(self._index)
        return self._row.items()

    def __repr__(self) -> str:
        self._watch.reads.everything(self._index)
        return repr(self._row)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A copy, and what is sent to another process, is an ordinary dict.
        self._watch.reads.everything(self._index)
        return (dict, (dict(self._row),))
