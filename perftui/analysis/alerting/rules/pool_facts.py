"""What rules for pools have in common: who is well, how a pool is named, and what helps."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from perftui.analysis.alerting.rule import Reading
from perftui.snapshot import Absent, Pool, PoolServer, Snapshot

SOURCES = frozenset({"pools", "haproxy"})
PANE = "servers"


def eligible(server: PoolServer) -> bool:
    """Return whether a server may get requests, and is not above a threshold."""
    fit = server.state == "ready" and not server.overloaded
    return fit if isinstance(server.eligible, Absent) else fit and server.eligible


def pool_subject(pool: Pool) -> str:
    """Return the name of a pool, with the socket of HAProxy, where others may have such a name."""
    return f"{pool.name}@{pool.endpoint}" if pool.endpoint else pool.name


def pool_servers(snapshot: Snapshot) -> Iterator[tuple[str, PoolServer]]:
    for pool in snapshot.all_pools:
        subject = pool_subject(pool)
        for server in pool.servers:
            yield subject, server


def bring_back(pool: Pool) -> str:
    """Return what makes more servers eligible, as a command where an operator took one out."""
    for server in pool.servers:
        if server.state in ("drain", "maint") and not server.leaving and not pool.endpoint:
            words = f"perftui pool ready {quote(pool.name)} {quote(server.id)}"
            return f"bring servers back: {words}; or start more"
        if server.state in ("drain", "maint") and pool.endpoint:
            return f"bring servers back: 6 Servers, choose {server.id}, e makes it ready"
    return "6 Servers tells why: bring servers back, or start more"


def why_not_well(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    return tuple(
        f"{server.id}: {server.reason or server.state}"
        for pool, server in pool_servers(snapshot)
        if reading.subject in (pool, f"{pool}/{server.id}") and not eligible(server)
    )[:5]
