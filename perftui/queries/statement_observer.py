"""What the hooks of database libraries have in common: counting, and explaining now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from perftui.queries.plan import Plan, counts, explainable
from perftui.queries.statements import Statements, current

REST_AFTER_FAILURE: Final = 60.0
"""Seconds without EXPLAIN after one that failed."""

_within: ContextVar[bool] = ContextVar("perftui_explaining", default=False)


class StatementObserver:
    """Takes note of statements in the request that runs them; never raises into a service."""

    def __init__(self) -> None:
        self._rest_until = 0.0

    def gathering(self) -> Statements | None:
        """Return where this statement is to be noted, None where nobody asked."""
        return None if _within.get() else current()

    def done(
        self,
        into: Statements,
        statement: str,
        seconds: float,
        rows: int,
        explain: Callable[[], Plan] | None,
    ) -> None:
        """Take note of a statement that took `seconds` and gave `rows` (less than 0: unknown).

        `explain` asks the database for its plan; it is called for the first reading statement of a
        request that may have one explained.
        """
        into.count += 1
        into.seconds += seconds
        if rows > 0:
            into.rows += rows
        if counts(statement):
            into.count_seconds = (into.count_seconds or 0.0) + seconds
            return
        if not into.explain or explain is None or not explainable(statement):
            return
        if time.monotonic() < self._rest_until:
            return
        into.explain = False
        token = _within.set(True)
        try:
            plan = explain()
        except Exception:
            # Whatever the database refuses, the service's own statement has been answered.
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE
            return
        finally:
            _within.reset(token)
        into.rows_examined = plan.rows_examined
        into.index_used = plan.index_used
        into.sorted_in_memory = plan.sorted_in_memory
