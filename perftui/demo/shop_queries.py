"""What the shop asks of its database, told to its QueryOptimizer as any service would."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from random import random
from typing import Any

from perftui.queries.explain_sqlite import explain_sqlite
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.plan import Plan

EXPLAINED = 0.1
"""Share of the queries whose plan is asked for."""

CATALOGUE = {
    "GET /products": {"indexes": [["id"], ["category", "id"]]},
    "GET /search": {"indexes": [["id"], ["category", "id"]]},
    "POST /checkout": {"indexes": [["id"], ["customer"]]},
}


class ShopQueries:
    """Runs statements of the shop and observes some of them."""

    def __init__(self) -> None:
        self.optimizer = QueryOptimizer(catalogue=CATALOGUE)

    def run(
        self,
        connection: sqlite3.Connection,
        query: Mapping[str, Any],
        statement: str,
        values: Sequence[object],
    ) -> list[Any]:
        """Return the rows of a statement, which is the answer to `query`."""
        began = time.perf_counter()
        rows = connection.execute(statement, values).fetchall()
        latency = time.perf_counter() - began
        plan = Plan()
        if random() < EXPLAINED:
            plan = explain_sqlite(
                lambda asked, given: connection.execute(asked, given).fetchall(), statement, values
            )
        self.optimizer.observe(
            query,
            latency,
            len(rows),
            bytes=sum(len(str(each)) for row in rows for each in row),
            rows_examined=plan.rows_examined,
            index_used=plan.index_used,
            sorted_in_memory=plan.sorted_in_memory,
            client="shop",
        )
        return rows
