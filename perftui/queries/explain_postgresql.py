"""PostgreSQL's plan of a statement: `EXPLAIN (FORMAT JSON)` (PostgreSQL documentation, EXPLAIN)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from perftui.queries.explain_sqlite import Ask
from perftui.queries.plan import Plan

TableRows = Callable[[str], int | None]
_SORTS: Final = frozenset({"Sort", "Incremental Sort"})


def explain_postgresql(ask: Ask, statement: str, parameters: Any) -> Plan:
    """Return what the planner says; the statement itself is not run. Raises as the connection does.

    Rows that a sequential scan examines are those of the table by pg_class; rows of an index scan
    are the planner's estimate where it filters nothing. With a LIMIT above a scan that is not
    sorted, nobody knows how far it goes.
    """
    found = ask(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    plan = found[0][0]
    top = json.loads(plan) if isinstance(plan, str | bytes) else plan
    return plan_of(top, lambda table: _table_rows(ask, table))


def plan_of(explained: Sequence[Mapping[str, Any]], table_rows: TableRows) -> Plan:
    """Return what an explained statement says, as JSON gave it.

    `table_rows` returns how many rows a table has, None if nobody knows. Rows that were counted
    (EXPLAIN ANALYZE) go before estimates.
    """
    nodes = list(_nodes(explained[0]["Plan"]))
    sorts = any(node["Node Type"] in _SORTS for node in nodes)
    limited = any(node["Node Type"] == "Limit" for node in nodes) and not sorts
    index: str | None = None
    examined: int | None = 0
    for node in nodes:
        kind = node["Node Type"]
        if "Index Name" in node:
            index = index or str(node["Index Name"])
        elif kind == "Seq Scan" and index is None:
            index = ""
        if "Scan" not in kind or kind == "Bitmap Index Scan":
            continue
        rows = _rows(node, limited, table_rows)
        examined = None if rows is None or examined is None else examined + rows
    return Plan(examined or None, index, sorts)


def _rows(node: Mapping[str, Any], limited: bool, table_rows: TableRows) -> int | None:
    if "Actual Rows" in node:
        removed = node.get("Rows Removed by Filter", 0)
        loops = float(node.get("Actual Loops", 1))
        counted = (float(node["Actual Rows"]) + float(removed)) * loops
        return round(counted)
    if limited:
        return None
    if node["Node Type"] == "Seq Scan":
        return table_rows(str(node.get("Relation Name", "")))
    return None if "Filter" in node else round(float(node.get("Plan Rows", 0)))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _table_rows(ask: Ask, table: str) -> int | None:
    rows = ask("SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", (table,))
    # Before the first ANALYZE it is -1 (from version 14 on).
    return int(rows[0][0]) if rows and rows[0][0] is not None and rows[0][0] >= 0 else None
