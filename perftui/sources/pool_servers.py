"""The servers of a pool for the screen: the pool's own view of them, and who gets how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from perftui.pool.server_view import ServerView
from perftui.pool.slow_start import slow_start_share
from perftui.snapshot import Absent, Maybe, PoolServer, State
from perftui.snapshot.part import FIRST_SAMPLE

NO_LOAD = Absent(State.NOT_COLLECTED, "the server has sent no load yet")
BROKEN_LOAD = Absent(
    State.UNAVAILABLE,
    "the load in the pool's keys cannot be read",
    "run the same version of perftui in the server and here",
)
NOT_MEASURED = Absent(State.NOT_COLLECTED, "the server does not measure it")
NO_COUNT = Absent(State.NOT_COLLECTED, "no balancer has counted requests for this server")
BROKEN_COUNT = Absent(State.UNAVAILABLE, "the count in the pool's keys is not a number")
NO_PICKS = Absent(State.NOT_COLLECTED, "no request was picked a server for in the last minute")
NOBODY = Absent(State.NOT_COLLECTED, "no server of the pool may be picked")
NOT_JUDGED = Absent(State.NOT_COLLECTED, "the pool has not judged this server yet")

Number = TypeVar("Number", int, float)


def pool_servers(
    views: Iterable[ServerView],
    counted: Mapping[bytes, bytes],
    grown: Mapping[str, int] | None,
    seconds: float,
) -> tuple[PoolServer, ...]:
    """Return the servers for the screen.

    `counted` are the picks as they are in Redis, `grown` is how many came in the last so many
    `seconds`, None while nothing can be compared.
    """
    seen = list(views)
    shares = {v.id: v.weight * slow_start_share(v.slow_start_age) for v in seen if v.eligible}
    weights = sum(shares.values())
    picked = sum(grown.values()) if grown is not None else 0
    servers = []
    for view in seen:
        grew = None if grown is None else grown.get(view.id, 0)
        expected: Maybe[float] = NOBODY
        if weights:
            expected = 100 * shares.get(view.id, 0.0) / weights
        percent: Maybe[float] = FIRST_SAMPLE if grew is None else NO_PICKS
        if grew is not None and picked:
            percent = 100 * grew / picked
        servers.append(_server(view, counted, grew, seconds, percent, expected))
    return tuple(servers)


def _server(
    view: ServerView,
    counted: Mapping[bytes, bytes],
    grew: int | None,
    seconds: float,
    percent: Maybe[float],
    expected: Maybe[float],
) -> PoolServer:
    load = view.load
    missing = NO_LOAD
    if view.state == "down":
        # What it said before it fell silent is of the past.
        load, missing = None, Absent(State.STALE, f"no heartbeat for {_age(view.last_seen)}")
    elif view.unread:
        missing = BROKEN_LOAD

    def told(value: Number | None) -> Maybe[Number]:
        if value is not None:
            return value
        return missing if load is None else NOT_MEASURED

    in_flight: Maybe[int] = missing
    if view.state != "down":
        own = None if load is None else load.in_flight
        number = own if view.in_flight is None else view.in_flight
        in_flight = NO_COUNT if number is None else number
    picks: Maybe[int] = NO_COUNT if view.picks is None else view.picks
    if view.picks is None and view.id.encode("utf-8", "surrogateescape") in counted:
        picks = BROKEN_COUNT
    slow = slow_start_share(view.slow_start_age) if view.eligible else 1.0
    return PoolServer(
        id=view.id,
        address=view.address,
        state=view.state,
        reason=view.reason,
        weight=view.weight,
        cpu_usage=told(None if load is None else load.cpu_usage),
        memory_usage=told(None if load is None else load.memory_usage),
        requests_per_second=told(None if load is None else load.requests_per_second),
        in_flight=in_flight,
        picks=picks,
        last_seen=view.last_seen,
        overloaded=view.overloaded,
        weight_set=view.weight,
        response_p95=told(None if load is None else load.p95),
        error_percent=told(None if load is None else load.error_percent),
        since=NOT_JUDGED if view.since is None else view.since,
        detail="" if slow >= 1.0 else f"slow start: {100 * slow:.0f} % of its weight",
        eligible=view.eligible,
        kept=view.kept,
        leaving=load is not None and load.leaving,
        decided=view.admin.state,
        decided_by=view.admin.by,
        picks_per_second=FIRST_SAMPLE if grew is None else grew / seconds,
        picks_percent=percent,
        picks_expected_percent=expected,
    )


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
