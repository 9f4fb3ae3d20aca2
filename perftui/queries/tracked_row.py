"""A row that notes which of its fields are read, and is a dict in every other respect."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from perftui.queries.answer_watch import Watch


class TrackedRow(dict[str, Any]):
    """A dict whose reads are noted; all that takes it as a whole counts as a read of all fields.

    Code in C that reads the storage of a dict itself passes it by: see `blind_serialisers`.
    """

    __slots__ = ("_index", "_watch")

    def __init__(self, row: Mapping[str, Any], watch: Watch, index: int) -> None:
        super().__init__(row)
        self._watch = watch
        self._index = index

    def __getitem__(self, key: str) -> Any:
        self._watch.reads.field(self._index, key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._watch.reads.field(self._index, key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self._watch.reads.field(self._index, key)
        return super().__contains__(key)

    def pop(self, key: str, *default: Any) -> Any:
        self._watch.reads.field(self._index, key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._watch.reads.field(self._index, key)
        return super().setdefault(key, default)

    def popitem(self) -> tuple[str, Any]:
        self._watch.reads.everything(self._index)
        return super().popitem()

    # Without an __iter__ of its own, ** and dict() would copy the storage unseen.
    def __iter__(self) -> Iterator[str]:
        self._watch.reads.everything(self._index)
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self._watch.reads.everything(self._index)
        return super().__reversed__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        self._watch.reads.everything(self._index)
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        self._watch.reads.everything(self._index)
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        self._watch.reads.everything(self._index)
        return super().items()

    def copy(self) -> dict[str, Any]:
        self._watch.reads.everything(self._index)
        return dict(super().items())

    def __or__(self, other: Any) -> Any:
        self._watch.reads.everything(self._index)
        return dict(super().items()) | other

    def __ror__(self, other: Any) -> Any:
        self._watch.reads.everything(self._index)
        return other | dict(super().items())

    def __eq__(self, other: object) -> bool:
        self._watch.reads.everything(self._index)
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        self._watch.reads.everything(self._index)
        return repr(dict(super().items()))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A copy, and what is sent to another process, is an ordinary dict.
        self._watch.reads.everything(self._index)
        return (dict, (dict(super().items()),))
