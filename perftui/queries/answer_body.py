"""What the body of an answer tells: its rows, the size of their fields, their ids."""

from __future__ import annotations

import secrets
from typing import Any, Final, NamedTuple

import msgspec

from perftui.queries.field_sizes import field_sizes

MOST_IDS: Final = 500
_KEY: Final = secrets.randbits(64)
_ROWS: Final = ("items", "results", "data", "rows", "records", "entries", "hits", "objects")
_IDS: Final = ("id", "_id", "uuid", "pk", "key")


class AnswerBody(NamedTuple):
    """Rows in an answer, bytes by field, and keyed hashes of the ids of a list."""

    rows: int
    fields: dict[str, int]
    ids: tuple[int, ...]


def read_body(body: bytes) -> AnswerBody | None:
    """Return what a JSON body tells, None for what is not JSON.

    Rows are a list at the top, or the list that an object has under one of the usual names, or
    its only one; any other object is one row.
    """
    try:
        content: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    rows = _rows(content)
    if rows is None:
        single = [content] if isinstance(content, dict) else []
        return AnswerBody(len(single), field_sizes(single), ())
    mappings = [row for row in rows if isinstance(row, dict)]
    return AnswerBody(len(rows), field_sizes(mappings), _ids(mappings))


def id_hash(text: str) -> int:
    """Return the hash of an id, keyed with a number that never leaves this process."""
    return hash((_KEY, text))


def _rows(content: Any) -> list[Any] | None:
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return []
    for name in _ROWS:
        found = content.get(name)
        if isinstance(found, list):
            return found
        if isinstance(found, dict):
            inner = _rows(found)
            if inner is not None:
                return inner
    lists = [value for value in content.values() if isinstance(value, list)]
    # An item with a list among its fields is still an item.
    return lists[0] if len(lists) == 1 and len(content) <= 4 and "id" not in content else None


def _ids(rows: list[dict[str, Any]]) -> tuple[int, ...]:
    if not rows:
        return ()
    name = next((each for each in _IDS if each in rows[0]), None)
    if name is None:
        return ()
    return tuple(
        id_hash(str(row[name])) for row in rows[:MOST_IDS] if isinstance(row.get(name), str | int)
    )
