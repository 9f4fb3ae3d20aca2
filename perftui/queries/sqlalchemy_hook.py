"""Tells the observed request what SQLAlchemy's statements did (SQLAlchemy 2, Core events)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from perftui.queries.explain_postgresql import explain_postgresql
from perftui.queries.explain_sqlite import explain_sqlite
from perftui.queries.plan import Plan
from perftui.queries.statement_observer import StatementObserver

_STARTED = "perftui_started"


class EngineHook:
    """The hook of one engine; `remove` takes it away."""

    def __init__(self, engine: Any) -> None:
        from sqlalchemy import event

        self._engine = engine
        self._observer = StatementObserver()
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def remove(self) -> None:
        """Observe this engine no longer."""
        from sqlalchemy import event

        event.remove(self._engine, "before_cursor_execute", self._before)
        event.remove(self._engine, "after_cursor_execute", self._after)

    def _before(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: bool,
    ) -> None:
        if self._observer.gathering() is not None:
            connection.info[_STARTED] = time.perf_counter()

    def _after(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: bool,
    ) -> None:
        into = self._observer.gathering()
        started = connection.info.pop(_STARTED, None)
        if into is None or started is None:
            return
        seconds = time.perf_counter() - started
        explain = None if many else _explainer(connection, statement, parameters)
        self._observer.done(into, statement, seconds, cursor.rowcount, explain)


def observe_engine(engine: Any) -> EngineHook:
    """Note the statements of an engine, an asynchronous one too, in the request that runs them.

    Outside of an observed request that costs the look at one context variable. PostgreSQL and
    SQLite are asked for the plan of a statement in few requests, see QueryMiddleware's
    `explain_share`; on PostgreSQL within a savepoint, so that what it refuses breaks nothing.
    Raises TypeError for what is no engine.
    """
    from sqlalchemy.engine import Engine

    with contextlib.suppress(AttributeError):
        # An AsyncEngine has one; asking for its class would load what not everybody installed.
        engine = engine.sync_engine
    if not isinstance(engine, Engine):
        raise TypeError(f"engine is {engine!r:.80}; it must be an Engine or an AsyncEngine")
    return EngineHook(engine)


def _explainer(connection: Any, statement: str, parameters: Any) -> Callable[[], Plan] | None:
    name = connection.dialect.name
    if name == "sqlite":
        return lambda: explain_sqlite(_asker(connection), statement, parameters)
    if name == "postgresql":

        def explain() -> Plan:
            with connection.begin_nested():
                return explain_postgresql(_asker(connection), statement, parameters)

        return explain
    return None


def _asker(connection: Any) -> Callable[[str, Any], Sequence[Sequence[Any]]]:
    def ask(statement: str, parameters: Any) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = connection.exec_driver_sql(
            statement, parameters or None
        ).fetchall()
        return found

    return ask
