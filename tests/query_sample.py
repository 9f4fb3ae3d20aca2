"""Queries as a service would have observed them, with advice, for screens and documents."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
from sample import NOW

from perftui.queries.optimizer import QueryOptimizer
from perftui.snapshot import Queries, RuleRecord
from perftui.sources.query_shapes import query_shapes

CATALOGUE = {
    "GET /items": {"cursors": True, "masks": True, "indexes": [["id"], ["city"]]},
    "GET /orders": {"indexes": [["id"]]},
}


def observed_queries() -> QueryOptimizer:
    """Return what a service saw in an hour of three endpoints; a page size was changed halfway."""
    random = Random(8)
    now = [NOW - 3_600.0]
    optimizer = QueryOptimizer(catalogue=CATALOGUE, window=0, clock=lambda: now[0])

    def observe(query: dict[str, Any], latency: float, rows: int, **more: Any) -> None:
        now[0] += 1.6
        optimizer.observe(query, latency * random.uniform(0.93, 1.07), rows, **more)

    sizes = {"id": 8, "name": 20, "city": 12, "price": 9, "note": 90, "blob": 240}
    for number in range(480):
        size = random.choice([20, 50, 100]) if number < 260 else 20
        offset = random.choice([0, 0, 10_000, 50_000, 120_000])
        observe(
            {
                "endpoint": "GET /items",
                "parameters": {"page_size": size, "offset": offset},
                "filters": {"city": "Bonn"},
                "sort": ["-price"],
            },
            0.002 + 2.5e-4 * size + 4e-7 * offset,
            size,
            rows_examined=size + offset,
            bytes=380 * size,
            fields_returned={name: each * size for name, each in sizes.items()},
            fields_read=["id", "name", "price"],
            rows_consumed=min(size, 12),
            client="billing-ui",
        )
        if number % 2 == 0:
            examined = random.choice([90_000, 200_000, 300_000])
            observe(
                {
                    "endpoint": "GET /orders",
                    "parameters": {"page_size": 50},
                    "filters": {"state": "open", "total__gt": 5},
                    "sort": ["-total"],
                },
                0.004 + 1.3e-7 * examined + 1e-5 * random.choice([10, 30, 50]),
                random.choice([10, 30, 50]),
                rows_examined=examined,
                sorted_in_memory=True,
                bytes=9_000,
                client="reports",
            )
        if number % 3 == 0:
            observe({"endpoint": "GET /cities"}, 0.0011, 40, bytes=900, client="billing-ui")
    optimizer.log.end_sessions()
    return optimizer


def sample_queries() -> Queries:
    """Return these queries as the screen gets them."""
    optimizer = observed_queries()
    evidence = optimizer.evidence()
    shapes, _ = query_shapes("shop", evidence, optimizer.catalogue, 0.0)
    return Queries(
        shapes=shapes,
        since=evidence.since,
        until=evidence.until,
        observations=sum(shape.calls for shape in shapes),
        other=12,
        services=("shop",),
        processes=2,
        records=(RuleRecord("P4", 3, 3, -1.2),),
    )


def hostile_queries() -> Queries:
    """Return queries whose names try to act on a terminal, or to be markup."""
    queries = sample_queries()
    bad = "GET /[b]\x1b[2J\n漢字\u202e"
    first, *others = queries.shapes
    evil = msgspec.structs.replace(first, endpoint=bad, conditions=bad, sort=bad, clients=(bad,))
    return msgspec.structs.replace(queries, shapes=(evil, *others), services=("shop", bad))
