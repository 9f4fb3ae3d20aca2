"""Pools of servers."""

from __future__ import annotations

from perftui.snapshot.part import Absent, Maybe, Part, State

NOT_TOLD = Absent(State.NOT_COLLECTED, "the origin of this pool does not tell it")


class PoolServer(Part, frozen=True):
    """A backend in a pool; `last_seen` is the age of its last heartbeat in seconds.

    `weight` is the one in effect, `weight_set` the one that was asked for. Times are in seconds;
    `since` is how long the state has lasted. `checks_down` is how often a check took it out.
    """

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
    weight_set: Maybe[int] = NOT_TOLD
    queue: Maybe[int] = NOT_TOLD
    response_mean: Maybe[float] = NOT_TOLD
    response_p95: Maybe[float] = NOT_TOLD
    error_percent: Maybe[float] = NOT_TOLD
    since: Maybe[float] = NOT_TOLD
    detail: str = ""
    last_check: str = ""
    checks_failed: Maybe[int] = NOT_TOLD
    checks_down: Maybe[int] = NOT_TOLD


class Pool(Part, frozen=True):
    """A named pool of servers; `origin` is redis or haproxy."""

    name: str
    servers: tuple[PoolServer, ...]
    origin: str = "redis"
