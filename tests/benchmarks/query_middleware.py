"""What observing queries costs a service at 1,000 requests a second, in CPU seconds.

Run `python tests/benchmarks/query_middleware.py`. A Starlette application that reads rows from
SQLite is driven at a steady pace, in turn without and with the middleware; nothing goes over a
network, so the service itself is as cheap as it can be and the ratio as bad as it can be.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sqlite3
import sys
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from verdict import Verdict, show

from perftui.queries.asgi import QueryMiddleware
from perftui.queries.log import ObservationLog
from perftui.queries.optimizer import QueryOptimizer

ROWS = 20


def service() -> Starlette:
    """Return an application that gives 20 rows of a table."""
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name, city, price, note)")
    database.executemany(
        "INSERT INTO items VALUES (?, ?, ?, ?, ?)",
        ((number, f"name {number}", "Bonn", number / 7, "x" * 80) for number in range(10_000)),
    )

    async def listing(request: Request) -> JSONResponse:
        start = int(request.query_params["offset"])
        found = database.execute(
            "SELECT * FROM items WHERE id >= ? ORDER BY id LIMIT ?", (start, ROWS)
        )
        names = [column[0] for column in found.description]
        return JSONResponse({"items": [dict(zip(names, row, strict=True)) for row in found]})

    return Starlette(routes=[Route("/items", listing)])


async def receive() -> dict[str, Any]:
    """Return an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    """Take a message to nowhere."""


async def drive(app: Any, rate: float, seconds: float) -> tuple[float, int]:
    """Ask at a steady pace; return the CPU seconds this took and the number of requests."""
    began, used = time.perf_counter(), time.process_time()
    count = 0
    while (passed := time.perf_counter() - began) < seconds:
        while count < passed * rate:
            user = count % 500
            await app(
                {
                    "type": "http",
                    "asgi": {"version": "3.0"},
                    "http_version": "1.1",
                    "method": "GET",
                    "scheme": "http",
                    "path": "/items",
                    "raw_path": b"/items",
                    "root_path": "",
                    "query_string": b"page_size=20&city=Bonn&sort=-id&offset=%d" % (count % 5_000),
                    "headers": [
                        (b"host", b"api"),
                        (b"user-agent", b"billing-ui/1.2"),
                        (b"authorization", b"Bearer %d" % user),
                        (b"accept", b"application/json"),
                    ],
                    "client": ("10.0.0.1", 40_000),
                    "server": ("10.0.0.2", 80),
                },
                receive,
                send,
            )
            count += 1
        await asyncio.sleep(0.002)
    return time.process_time() - used, count


def shapes(count: int) -> tuple[float, int]:
    """Return the MiB a log grows by as so many shapes are told, and the shapes kept."""
    optimizer = QueryOptimizer(ObservationLog())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        optimizer.observe(
            {
                "endpoint": f"GET /e{number}",
                "parameters": {"page_size": 20},
                "filters": {f"f{number}": 1},
            },
            0.01,
            20,
            fields_returned={f"c{place}": 100 for place in range(20)},
            client=f"c{number % 50}",
        )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return grown, len(optimizer.evidence().shapes)


def main() -> int:
    """Measure, print, and tell by the exit code whether all promises are kept."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rate", type=float, default=1_000.0)
    arguments.add_argument("--seconds", type=float, default=6.0)
    arguments.add_argument("--rounds", type=int, default=4)
    options = arguments.parse_args()
    plain: list[float] = []
    observed: list[float] = []
    optimizer = QueryOptimizer()
    app = service()
    watched = QueryMiddleware(app, optimizer=optimizer)
    asyncio.run(drive(watched, options.rate, 3.0))
    for _ in range(options.rounds):
        for target, costs in ((app, plain), (watched, observed)):
            cost, count = asyncio.run(drive(target, options.rate, options.seconds))
            costs.append(cost / count)
    without, with_it = sum(plain) / len(plain), sum(observed) / len(observed)
    core = (with_it - without) * options.rate
    seen = sum(shape.calls for shape in optimizer.evidence().shapes)
    asked = sum(shape.asked for shape in optimizer.evidence().shapes)
    grown, kept = shapes(100_000)
    return (
        0
        if show(
            [
                Verdict("request without the middleware", f"{without * 1e6:.1f} us"),
                Verdict("request with it", f"{with_it * 1e6:.1f} us"),
                Verdict("observed of the requests", f"{seen:,} of {asked:,}"),
                Verdict(
                    f"overhead at {options.rate:,.0f} requests/s",
                    f"{core:.2%} of a core",
                    "<= 3 %",
                    core <= 0.03,
                ),
                Verdict("overhead beside this service's own CPU", f"{with_it / without - 1:.2%}"),
                Verdict("memory for 100,000 shapes", f"{grown:.0f} MiB ({kept:,} kept)"),
            ]
        )
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
