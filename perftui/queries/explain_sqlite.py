"""SQLite's plan of a statement: `EXPLAIN QUERY PLAN` (https://www.sqlite.org/eqp.html)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from perftui.queries.plan import Plan

Ask = Callable[[str, Any], Sequence[Sequence[Any]]]
"""Runs a statement with parameters and returns its rows."""

_SCAN: Final = re.compile(r"SCAN (?:TABLE )?(\S+)(?:.*USING (?:COVERING )?INDEX (\S+))?")
_SEARCH: Final = re.compile(
    r"SEARCH (?:TABLE )?(\S+).*USING (?:(?:COVERING )?INDEX (\S+)|INTEGER PRIMARY KEY)"
    r"(?: \((.*)\))?"
)
_NAME: Final = re.compile(r"\w+")


def explain_sqlite(ask: Ask, statement: str, parameters: Any) -> Plan:
    """Return what the plan says; raises what the connection raises.

    A scan without LIMIT examines as many rows as the table has: sqlite_stat1 tells, or the
    greatest rowid, of which a table can only have fewer. A search by equality on an index examines
    what sqlite_stat1 says on average. With LIMIT, unless all rows are sorted, nobody knows.
    """
    details = [str(row[3]) for row in ask(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    sorts = any("TEMP B-TREE FOR ORDER BY" in each for each in details)
    limited = " limit " in f" {' '.join(statement.lower().split())} " and not sorts
    parts: list[int | None] = []
    index: str | None = None
    for detail in details:
        search = _SEARCH.search(detail)
        scan = None if search else _SCAN.search(detail)
        if search:
            rows = None if limited else _searched(ask, search[1], search[2], search[3] or "")
            index = index or search[2] or "PRIMARY KEY"
        elif scan and _NAME.fullmatch(scan[1]):
            rows = None if limited else _table_rows(ask, scan[1])
            index = index or scan[2] or ""
        else:
            continue
        parts.append(rows)
    # Of a join the sum of its parts would be a lower bound, and that is no honest number.
    return Plan(parts[0] if len(parts) == 1 else None, index, sorts)


def _table_rows(ask: Ask, table: str) -> int | None:
    statistics = _statistics(ask, table, "")
    if statistics:
        return statistics[0]
    try:
        found = ask(f'SELECT max(rowid) FROM "{table}"', ())
    except Exception:
        # A table without rowid, or an alias that is no table's name.
        return None
    return int(found[0][0]) if found and found[0][0] is not None else None


def _searched(ask: Ask, table: str, index: str | None, terms: str) -> int | None:
    if index is None:
        return 1 if terms.startswith("rowid=") else None
    if not terms or "<" in terms or ">" in terms:
        return None
    statistics = _statistics(ask, table, index)
    columns = terms.count("=?")
    return statistics[columns] if 0 < columns < len(statistics) else None


def _statistics(ask: Ask, table: str, index: str) -> list[int]:
    """Return rows of a table, then rows for each value of the first columns of an index."""
    try:
        found = ask(
            "SELECT stat FROM sqlite_stat1 WHERE tbl = ? AND (idx = ? OR ? = '')",
            (table, index, index),
        )
    except Exception:
        # The table exists once ANALYZE has run.
        return []
    return [int(part) for part in str(found[0][0]).split() if part.isdigit()] if found else []
