"""Pools of servers as text and JSON for `perftui pool`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perftui import format as show
from perftui.output.document import plain_value
from perftui.pool_changes import Outcome, takes
from perftui.snapshot import Absent, Maybe, Pool, PoolAdvice, PoolEvent, PoolServer
from perftui.text import cell_width, fit, printable

MISSING = "-"


def pools_text(pools: Sequence[Pool]) -> str:
    """Return one line for each pool."""
    rows = [
        (
            pool.name,
            _origin(pool),
            f"{sum(map(takes, pool.servers))}/{len(pool.servers)}",
            _states(pool),
            _value(pool.picks_per_second, show.rate_short),
            _advice_words(pool),
        )
        for pool in pools
    ]
    return _table(("POOL", "ORIGIN", "ELIGIBLE", "STATES", "PICKS/S", "ADVICE"), rows, right=(2, 4))


def servers_text(pools: Sequence[Pool], name_pool: bool) -> str:
    """Return one line for each server; `name_pool` puts the name of its pool in front."""
    head = (
        *(("POOL",) if name_pool else ()),
        *("SERVER", "STATE", "WEIGHT", "CPU%", "MEM%", "REQ/S", "FLIGHT", "PICKS", "SEEN"),
        *("ADDRESS", "REASON"),
    )
    first = 1 if name_pool else 0
    rows = [
        (*((pool.name,) if name_pool else ()), *_server_cells(pool, server))
        for pool in pools
        for server in pool.servers
    ]
    return _table(head, rows, right=tuple(range(first + 2, first + 9)))


def events_text(events: Iterable[tuple[str, PoolEvent]], name_pool: bool) -> str:
    """Return one line for each event, the newest last."""
    return "".join(
        f"{show.clock(event.time)}  {fit(printable(event.kind), 12)}  "
        + (f"{fit(printable(pool), 12)}  " if name_pool else "")
        + f"{fit(printable(event.server) or MISSING, 16)}  "
        + "  ".join(printable(part) for part in (event.reason, event.by) if part)
        + "\n"
        for pool, event in events
    )


def advice_text(pools: Sequence[Pool]) -> str:
    """Return what is advised for each pool and why."""
    lines: list[str] = []
    for pool in pools:
        advice = pool.advice
        if isinstance(advice, Absent):
            lines.append(f"{printable(pool.name)}: {printable(show.absence(advice))}")
            continue
        lines.append(f"{printable(pool.name)}: {_advice_line(advice)}")
        lines.append(
            f"  min {_bound(advice.min_instances)}, max {_bound(advice.max_instances)}, policy "
            f"{printable(advice.policy)}, {show.age(advice.age)} ago"
        )
    return "\n".join(lines) + "\n" if lines else ""


def outcomes_text(outcomes: Sequence[Outcome], done: str) -> str:
    """Return one line for each server: what was done, or who refused with what words."""
    lines = [
        f"{printable(each.server)}: "
        + (done if each.ok else "not changed")
        + (f": {printable(each.answer)}" if each.answer else "")
        for each in outcomes
    ]
    return "\n".join(lines) + "\n"


def pools_json(pools: Sequence[Pool]) -> str:
    """Return pools with their servers, the keys as in `perftui once --json`; null: not known.

    `states` says why, by path.
    """
    states: dict[str, Any] = {}
    found = [plain_value(pool, f"pools.{index}", states) for index, pool in enumerate(pools)]
    return _json({"pools": found, "states": states})


def events_json(events: Iterable[tuple[str, PoolEvent]]) -> str:
    """Return events as JSON Lines."""
    return "".join(
        json.dumps(
            {
                "pool": pool,
                "time": event.time,
                "kind": event.kind,
                "server": event.server,
                "by": event.by,
                "reason": event.reason,
            }
        )
        + "\n"
        for pool, event in events
    )


def outcomes_json(change: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Return what was asked for and what came of it."""
    return _json({**change, "servers": [each._asdict() for each in outcomes]})


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _server_cells(pool: Pool, server: PoolServer) -> tuple[str, ...]:
    weight = str(server.weight)
    if not isinstance(server.weight_set, Absent) and server.weight_set != server.weight:
        weight = f"{server.weight}/{server.weight_set}"
    state = "overload" if server.overloaded and server.state == "ready" else server.state
    return (
        server.id,
        state,
        weight,
        _value(server.cpu_usage, _tenth),
        _value(server.memory_usage, _tenth),
        _value(server.requests_per_second, show.rate_short),
        _value(server.in_flight, str),
        _value(server.picks, str),
        MISSING if pool.origin == "haproxy" else show.age(server.last_seen),
        server.address or MISSING,
        server.reason or server.detail,
    )


def _tenth(value: float) -> str:
    return f"{value:.1f}"


def _value(value: Maybe[Any], text: Any) -> str:
    return MISSING if isinstance(value, Absent) else str(text(value)).strip()


def _origin(pool: Pool) -> str:
    return f"{pool.origin} {pool.endpoint}".strip()


def _states(pool: Pool) -> str:
    counts = Counter(server.state for server in pool.servers)
    overloaded = sum(server.overloaded for server in pool.servers)
    words = [f"{count} {state}" for state, count in counts.most_common()]
    if overloaded:
        words.append(f"{overloaded} overloaded")
    if not isinstance(pool.panic, Absent) and pool.panic:
        words.append("PANIC")
    return ", ".join(words) or "no server"


def _advice_words(pool: Pool) -> str:
    return MISSING if isinstance(pool.advice, Absent) else _advice_line(pool.advice)


def _advice_line(advice: PoolAdvice) -> str:
    if advice.want != advice.current:
        return printable(advice.reason)
    held = f" (held by {advice.held_by})" if advice.held_by else ""
    return printable(f"stay at {advice.current}{held}")


def _bound(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    """Return columns as wide as they need to be; the last one is as long as it is."""
    clean = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(cell_width(row[i]) for row in clean) for i in range(len(head))]
    lines = []
    for row in clean:
        cells = [
            fit(cell, widths[i], "right" if i in right else "left") if i < len(head) - 1 else cell
            for i, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
