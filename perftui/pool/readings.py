"""What a balancer reads of a server before it picks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from perftui.pool.load_view import Load


class Server(NamedTuple):
    """A server that can be picked."""

    id: str
    address: str
    weight: int = 1

    def __str__(self) -> str:
        return self.id


class Reading(NamedTuple):
    """A server at one moment, as the registry has it.

    `admin` is the operator's decision, `ready`, `drain` or `maint`; `silence` the seconds since its
    last heartbeat, None when there was none; `age` the seconds since it registered, None when that
    is unknown.
    `smoothed` is the load's mean that the registry keeps, where it keeps one.
    """

    server: Server
    admin: str
    load: Load
    silence: float | None
    age: float | None = None
    smoothed: Load | None = None
    leaving: bool = False


def read_server(row: Mapping[str, Any]) -> Reading:
    """Return the reading of one row of `PoolRegistry.servers`."""
    return Reading(
        Server(row["id"], row["address"], row["weight"] or 0),
        row["admin"] or "ready",
        Load(row["cpu_usage"], row["memory_usage"], row["requests_per_second"]),
        row["last_seen"],
        row["started"],
        Load(row["smoothed_cpu"], row["smoothed_memory"], row["smoothed_requests"]),
        bool(row["leaving"]),
    )
