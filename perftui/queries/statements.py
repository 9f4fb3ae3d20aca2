"""What a database did for one request, gathered where the request runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Statements:
    """What the statements of one request came to; filled by the hooks of database libraries.

    Seconds and rows are sums. `count_seconds` is the part of statements that only count.
    `rows_examined`, `index_used` and `sorted_in_memory` are what an explained statement told, None
    where none was explained; `explain` says whether this request may explain one.
    """

    __slots__ = (
        "count",
        "count_seconds",
        "explain",
        "index_used",
        "rows",
        "rows_examined",
        "seconds",
        "sorted_in_memory",
    )

    def __init__(self, explain: bool) -> None:
        self.explain = explain
        self.count = 0
        self.seconds = 0.0
        self.rows = 0
        self.count_seconds: float | None = None
        self.rows_examined: int | None = None
        self.index_used: str | None = None
        self.sorted_in_memory: bool | None = None


_current: ContextVar[Statements | None] = ContextVar("perftui_statements", default=None)


def current() -> Statements | None:
    """Return what the request that runs here gathers, None where nobody asked for it."""
    return _current.get()


@contextmanager
def collecting(explain: bool = False) -> Iterator[Statements]:
    """Gather the statements of what runs inside, in this thread or task and those it starts."""
    statements = Statements(explain)
    token = _current.set(statements)
    try:
        yield statements
    finally:
        _current.reset(token)
