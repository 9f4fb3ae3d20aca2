"""What the fields of rows take in an answer, by a look at some of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

ROWS_LOOKED_AT: Final = 20
_ELEMENTS_LOOKED_AT: Final = 20
_DEEPEST: Final = 4
_UNKNOWN: Final = 16


def field_sizes(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the bytes that each field takes as JSON in all rows together, by a sample of them."""
    if not rows:
        return {}
    step = max(1, len(rows) // ROWS_LOOKED_AT)
    looked = rows[::step][:ROWS_LOOKED_AT]
    sums: dict[str, int] = {}
    for row in looked:
        for name, value in row.items():
            if isinstance(name, str):
                # Beside the value: quotation marks, colon and comma.
                sums[name] = sums.get(name, 0) + len(name) + 4 + _size(value, 0)
    return {name: round(size * len(rows) / len(looked)) for name, size in sums.items()}


def _size(value: object, depth: int) -> int:
    if isinstance(value, str | bytes):
        return len(value) + 2
    if value is None or isinstance(value, bool):
        return 5
    if isinstance(value, int):
        return 1 + value.bit_length() * 3 // 10
    if isinstance(value, float):
        return len(repr(value))
    if depth >= _DEEPEST:
        return _UNKNOWN
    if isinstance(value, dict):
        parts = [len(str(key)) + 4 + _size(each, depth + 1) for key, each in _some(value.items())]
        return 2 + _scaled(parts, len(value))
    if isinstance(value, list | tuple | set | frozenset):
        return 2 + _scaled([1 + _size(each, depth + 1) for each in _some(value)], len(value))
    return _UNKNOWN


def _some(values: Any) -> list[Any]:
    return [each for each, _ in zip(values, range(_ELEMENTS_LOOKED_AT), strict=False)]


def _scaled(parts: list[int], whole: int) -> int:
    return sum(parts) * whole // len(parts) if parts else 0
