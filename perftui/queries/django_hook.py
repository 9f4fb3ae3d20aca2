"""Tells the observed request what Django's statements did (Django, database instrumentation)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from perftui.queries.explain_postgresql import explain_postgresql
from perftui.queries.explain_sqlite import explain_sqlite
from perftui.queries.plan import Plan
from perftui.queries.statement_observer import StatementObserver

_observer = StatementObserver()


def observe_connections() -> None:
    """Note the statements of all connections, those of other threads too; once is enough.

    Called in the ready() of an AppConfig. PostgreSQL and SQLite are asked for the plan of a
    statement in few requests, on PostgreSQL within a savepoint.
    """
    from django.db import connections  # type: ignore[import-untyped]
    from django.db.backends.signals import connection_created  # type: ignore[import-untyped]

    connection_created.connect(_created, dispatch_uid="perftui.queries")
    for connection in connections.all(initialized_only=True):
        _wrap(connection)


def _created(connection: Any, **rest: Any) -> None:
    _wrap(connection)


def _wrap(connection: Any) -> None:
    if _execute not in connection.execute_wrappers:
        connection.execute_wrappers.append(_execute)


def _execute(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    into = _observer.gathering()
    if into is None:
        return execute(sql, params, many, context)
    started = time.perf_counter()
    result = execute(sql, params, many, context)
    seconds = time.perf_counter() - started
    rows = context["cursor"].rowcount
    explain = None if many else _explainer(context["connection"], sql, params)
    _observer.done(into, sql, seconds, rows, explain)
    return result


def _explainer(connection: Any, sql: str, params: Any) -> Callable[[], Plan] | None:
    def ask(statement: str, parameters: Any) -> Sequence[Sequence[Any]]:
        # The cursor of the service still has its rows; this is another one.
        with connection.cursor() as cursor:
            cursor.execute(statement.replace("= ?", "= %s"), parameters)
            found: Sequence[Sequence[Any]] = cursor.fetchall()
        return found

    if connection.vendor == "sqlite":
        return lambda: explain_sqlite(ask, sql, params)
    if connection.vendor == "postgresql":

        def explain() -> Plan:
            from django.db import transaction

            with transaction.atomic(using=connection.alias):
                return explain_postgresql(ask, sql, params)

        return explain
    return None
