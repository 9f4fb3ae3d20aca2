"""Pools of servers."""

from __future__ import annotations

from perftui.snapshot.part import Maybe, Part


class PoolServer(Part, frozen=True):
    """A backend in a pool; `last_seen` is the age of its last heartbeat in seconds."""

    id: str
    address: str
    state: str
    reason: str
    weight: int
    cpu_usage: Maybe[float]
    memory_usage: Maybe[float]
    requests_per_second: Maybe[float]
    in_flight: Maybe[int]
    picks: Maybe[int]
    last_seen: float
    overloaded: bool


class Pool(Part, frozen=True):
    """A named pool of servers."""

    name: str
    servers: tuple[PoolServer, ...]
