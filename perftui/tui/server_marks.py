"""Which servers of which pools a person has marked, to act on all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class ServerKey(NamedTuple):
    """What a server is known by from one snapshot to the next; `endpoint` is empty for Redis."""

    origin: str
    endpoint: str
    pool: str
    server: str


ServerMarks = frozenset[ServerKey]


def toggled(marks: ServerMarks, key: ServerKey) -> ServerMarks:
    """Return the marks with this one set, or without it if it was set."""
    return marks ^ {key}


def still_there(marks: ServerMarks, present: Iterable[ServerKey]) -> ServerMarks:
    """Return the marks of those servers that exist; a mark never outlives its server."""
    return marks & frozenset(present)
