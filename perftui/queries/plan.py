"""What a database's plan says of a statement, whatever the database."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Plan(NamedTuple):
    """Rows that are examined (an estimate unless they were counted), index, sort; None: not told.

    `index_used` is empty where the whole table is scanned.
    """

    rows_examined: int | None = None
    index_used: str | None = None
    sorted_in_memory: bool | None = None


_SELECT: Final = re.compile(r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(?:select|with)\b", re.I | re.S)
_COUNT: Final = re.compile(r"\s*select\s+count\s*\(", re.I)
_FROM: Final = re.compile(r"\bfrom\b", re.I)
_WRITES: Final = re.compile(
    r"\b(?:insert|update|delete|merge|for\s+(?:no\s+key\s+)?update)\b", re.I
)


def explainable(statement: str) -> bool:
    """Whether a statement reads from a table and nothing else."""
    return bool(
        _SELECT.match(statement) and _FROM.search(statement) and not _WRITES.search(statement)
    )


def counts(statement: str) -> bool:
    """Whether a statement only counts rows."""
    return bool(_COUNT.match(statement))
