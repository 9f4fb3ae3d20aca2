"""A list API over a real SQLite table of 300,000 rows, and what its database says of a query."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROWS = 300_000
CITIES = 100
OWNERS = 3_000

COLUMNS = (
    *("id", "city", "state", "price", "name", "email", "created", "owner_id", "kind", "note"),
    *(f"extra{number}" for number in range(14)),
)
"""24 fields; note is the widest."""

_BUILD = f"""
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {ROWS})
INSERT INTO items SELECT
  n, 'city' || ((n * 7919) % {CITIES}), CASE WHEN n % 10 = 0 THEN 'open' ELSE 'closed' END,
  ((n * 104729) % 1000003) / 7.0, 'Name' || ((n * 31337) % {ROWS}), 'm' || n || '@example.org',
  1700000000 + n * 13 % 9999991, (n * 6151) % {OWNERS}, 'kind' || (n % 4),
  'note about the item with the number ' || n || ' and more text than anybody wants to read',
  {", ".join(f"'value {number} of ' || n" for number in range(14))}
FROM number
"""

_OPERATORS = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


@pytest.fixture(scope="session")
def items_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the database, built once for a session of tests."""
    path = tmp_path_factory.mktemp("api") / "items.db"
    build(path)
    return path


@pytest.fixture
def api(items_database: Path) -> Iterator[Api]:
    """Return the API, and drop the indexes that a test made."""
    found = Api(items_database)
    yield found
    found.drop_made()
    found.database.close()


def build(path: Path) -> None:
    """Write the table; the indexes are those of the primary key and of city."""
    database = sqlite3.connect(path)
    columns = ", ".join(f"{name}" for name in COLUMNS[1:])
    database.execute(f"CREATE TABLE items (id INTEGER PRIMARY KEY, {columns})")
    database.execute(_BUILD)
    database.execute("CREATE INDEX by_city ON items (city)")
    database.execute("CREATE INDEX by_kind ON items (kind)")
    database.execute("CREATE TABLE few AS SELECT * FROM items LIMIT 150")
    database.commit()
    database.close()


class Answer(NamedTuple):
    """What a query gave: CPU seconds of the thread, rows as they are, bytes as JSON."""

    rows: list[dict[str, Any]]
    latency: float
    bytes: int
    rows_examined: int
    index_used: str | None
    sorted_in_memory: bool
    count_latency: float | None


class Api:
    """Answers queries as mappings, at most `most` rows of a page."""

    def __init__(self, path: Path, most: int | None = None, table: str = "items") -> None:
        self._most = most
        self._table = table
        self.database = sqlite3.connect(path)
        self.database.execute("PRAGMA cache_size = -200000")
        self._ticks = 0
        self._known: dict[object, tuple[int, str | None, bool]] = {}
        self.database.create_function("tick", 0, self._tick)

    def _tick(self) -> int:
        self._ticks += 1
        return 1

    def index(self, columns: Sequence[str]) -> None:
        """Create an index."""
        self._known.clear()
        name = "made_" + "_".join(columns)
        self.database.execute(f"CREATE INDEX IF NOT EXISTS {name} ON items ({', '.join(columns)})")

    def drop_made(self) -> None:
        """Drop the indexes that were created after the table was built."""
        self._known.clear()
        found = self.database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'made%'"
        ).fetchall()
        for (name,) in found:
            self.database.execute(f"DROP INDEX {name}")

    def ask(self, query: Mapping[str, Any]) -> Answer:
        """Return the answer, and what it cost."""
        parameters = query.get("parameters", {})
        names = parameters.get("fields") or COLUMNS
        where, values = self._where(query)
        order = ", ".join(
            "random()"
            if key.strip("-") == "random"
            else f"{key.strip('-')}{' DESC' * (key[0] == '-')}"
            for key in _sort(query)
        )
        rest = f" ORDER BY {order}" if order else ""
        if parameters.get("page_size"):
            size = int(parameters["page_size"])
            rest += f" LIMIT {min(size, self._most or size)}"
        if parameters.get("offset"):
            rest += f" OFFSET {int(parameters['offset'])}"
        chosen = ", ".join(names)
        sql = f"SELECT {chosen} FROM {self._table} WHERE {where}{rest}"
        examined, index, sorts = self._explained(sql, where, values)
        count_latency = None
        began = time.thread_time()
        if parameters.get("count"):
            self.database.execute(
                f"SELECT count(*) FROM {self._table} WHERE {where}", values
            ).fetchone()
            count_latency = time.thread_time() - began
        found = self.database.execute(sql, values).fetchall()
        rows = [dict(zip(names, row, strict=True)) for row in found]
        body = json.dumps({"items": rows})
        latency = time.thread_time() - began
        return Answer(rows, latency, len(body), examined, index, sorts, count_latency)

    def _where(self, query: Mapping[str, Any]) -> tuple[str, list[Any]]:
        parts: list[str] = []
        values: list[Any] = []
        cursor = query.get("parameters", {}).get("cursor")
        if cursor is not None:
            # The last row of the page before; rows are in the order of their ids.
            parts.append("id > ?")
            values.append(cursor)
        for each in query.get("filters", []):
            text, more = _condition(each)
            parts.append(text)
            values += more
        return " AND ".join(parts) or "1", values

    def _explained(self, sql: str, where: str, values: list[Any]) -> tuple[int, str | None, bool]:
        """Return rows visited, the index used, and whether rows were sorted.

        Rows are counted by a function that SQLite calls for each; its plan stays the same.
        """
        key = (sql, tuple(values))
        if key not in self._known:
            plan = " ".join(
                row[3] for row in self.database.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            )
            self._ticks = 0
            counted = sql.replace(f"WHERE {where}", f"WHERE tick() AND ({where})", 1)
            self.database.execute(counted, values).fetchall()
            index = None
            for word, after in zip(plan.split(), plan.split()[1:], strict=False):
                if word == "INDEX":
                    index = after
            if "INTEGER PRIMARY KEY" in plan:
                index = "id"
            self._known[key] = (self._ticks, index, "TEMP B-TREE FOR" in plan)
        return self._known[key]


def _condition(each: Mapping[str, Any]) -> tuple[str, list[Any]]:
    if "or" in each:
        texts, values = zip(*(_condition(one) for one in each["or"]), strict=True)
        return f"({' OR '.join(texts)})", [one for of in values for one in of]
    field, op, value = each["field"], each.get("op", "eq"), each["value"]
    name = f"{each['function']}({field})" if each.get("function") else field
    if op == "contains":
        return f"{name} LIKE ?", [f"%{value}%"]
    if op == "startswith":
        return f"{name} GLOB ?", [f"{value}*"]
    if op == "in":
        return f"{name} IN ({', '.join('?' * len(value))})", list(value)
    return f"{name} {_OPERATORS[op]} ?", [value]


def _sort(query: Mapping[str, Any]) -> Iterable[str]:
    for key in query.get("sort", []):
        yield key if isinstance(key, str) else f"{'-' * (key['dir'] == 'desc')}{key['field']}"
