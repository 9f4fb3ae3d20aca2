"""Rows of the Servers pane: every server of every pool, and what its state is called."""

from __future__ import annotations

from dataclasses import dataclass

from perftui.format import age
from perftui.snapshot import Absent, Maybe, Pool, PoolServer, State
from perftui.text import printable
from perftui.tui.lines import Span
from perftui.tui.server_marks import ServerKey

STATE_STYLES = {
    "ready": "ok",
    "drain": "warning",
    "maint": "muted",
    "stale": "stale",
    "down": "critical",
}
SLOW_START = "slow start"


@dataclass(frozen=True)
class ServerRow:
    """A server with the pool it is in."""

    key: ServerKey
    pool: Pool
    server: PoolServer


@dataclass(frozen=True)
class Listing:
    """All rows; `name_pool` and `name_endpoint` say what a name needs to be told apart.

    `p95` and `mean`: whether some server tells of that response time.
    """

    pools: tuple[Pool, ...] = ()
    rows: tuple[ServerRow, ...] = ()
    name_pool: bool = False
    name_endpoint: bool = False
    p95: bool = False
    mean: bool = False


def list_servers(pools: tuple[Pool, ...]) -> Listing:
    """Return the servers of all pools in the order of the pools."""
    rows = tuple(
        ServerRow(ServerKey(pool.origin, pool.endpoint, pool.name, server.id), pool, server)
        for pool in pools
        for server in pool.servers
    )
    return Listing(
        pools,
        rows,
        name_pool=len(pools) > 1,
        name_endpoint=len({pool.endpoint for pool in pools if pool.endpoint}) > 1,
        p95=any(not isinstance(row.server.response_p95, Absent) for row in rows),
        mean=any(not isinstance(row.server.response_mean, Absent) for row in rows),
    )


def row_name(row: ServerRow, listing: Listing) -> str:
    """Return the name of a server, with its pool and its HAProxy where there are several."""
    name = row.server.id
    if listing.name_pool:
        name = f"{row.pool.name}/{name}"
    if listing.name_endpoint and row.pool.endpoint:
        name = f"{row.pool.endpoint} {name}"
    return name


def state_span(pool: Pool, server: PoolServer, ascii_only: bool) -> Span:
    """Return what the state of a server is called; the word tells why it is not just ready."""
    if server.state == "stale":
        return (f"stale {age(server.last_seen)}", "stale")
    if server.state != "ready":
        shown = printable(server.state, ascii_only)
        return (shown, STATE_STYLES.get(server.state, "text"))
    if server.leaving:
        return ("leaving", "warning")
    if server.overloaded:
        if pool.panic is True:
            return ("panic-kept", "critical")
        return ("kept", "warning") if server.kept else ("overload", "warning")
    if server.detail.startswith(SLOW_START):
        return (SLOW_START, "accent")
    return ("ready", "ok")


def why(server: PoolServer) -> str:
    """Return the reason of a state in one clause; what it is in detail where there is none."""
    return server.reason or server.detail


def response(server: PoolServer) -> tuple[Maybe[float], bool]:
    """Return the response time in seconds, and whether it is a mean instead of a p95."""
    if isinstance(server.response_p95, Absent) and not isinstance(server.response_mean, Absent):
        return server.response_mean, True
    return server.response_p95, False


def eligible_of(pool: Pool) -> tuple[Maybe[int], int]:
    """Return how many servers may be picked, and of how many."""
    if not isinstance(pool.eligible, Absent):
        return pool.eligible, len(pool.servers)
    known = [server.eligible for server in pool.servers]
    if not known or any(isinstance(value, Absent) for value in known):
        unknown = Absent(State.NOT_COLLECTED, "the origin of this pool does not tell it")
        return unknown, len(pool.servers)
    return sum(value is True for value in known), len(pool.servers)
