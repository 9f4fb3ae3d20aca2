"""What the keys of one pool say about each of its servers."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec

from perftui.pool.keys import ServerAdmin, ServerLoad, ServerMeta
from perftui.snapshot import Absent, Maybe, PoolServer, State

STALE_AFTER = 3.0
DOWN_AFTER = 30.0
FORGOTTEN_AFTER = 3600.0
"""Seconds without a heartbeat after which a server is not shown at all."""

NEVER = 1e12
"""Age in seconds of a heartbeat that never came, when not even the registration tells a time."""

NO_LOAD = Absent(State.NOT_COLLECTED, "the server has sent no load yet")
BROKEN_LOAD = Absent(
    State.UNAVAILABLE,
    "the load in the pool's keys cannot be read",
    "run the same version of perftui in the server and here",
)
NOT_MEASURED = Absent(State.NOT_COLLECTED, "the server does not measure it")
NO_COUNT = Absent(State.NOT_COLLECTED, "no balancer has counted requests for this server")


class Thresholds(NamedTuple):
    """CPU percent, memory percent, requests per second."""

    cpu: float
    memory: float
    requests: float


class PoolData(NamedTuple):
    """The replies for one pool, keyed by server id; `seen` is Redis time of the last heartbeat."""

    meta: dict[bytes, bytes]
    load: dict[bytes, bytes]
    admin: dict[bytes, bytes]
    inflight: dict[bytes, bytes]
    picks: dict[bytes, bytes]
    seen: dict[bytes, float]
    eligible: frozenset[bytes]


Value = TypeVar("Value")

_META = msgspec.json.Decoder(ServerMeta)
_LOAD = msgspec.json.Decoder(ServerLoad)
_ADMIN = msgspec.json.Decoder(ServerAdmin)


def pool_servers(data: PoolData, now: float, thresholds: Thresholds) -> tuple[PoolServer, ...]:
    """Return the servers of one pool by id; those silent for an hour are left out."""
    servers: list[PoolServer] = []
    for server in sorted(data.meta.keys() | data.seen.keys()):
        meta = _decode(_META, data.meta.get(server))
        seen = data.seen.get(server)
        if seen is None:
            age = max(0.0, now - meta.started) if meta is not None else NEVER
        else:
            age = max(0.0, now - seen)
        if age > FORGOTTEN_AFTER:
            continue
        servers.append(_server(server, meta, age, seen is not None, data, thresholds))
    return tuple(servers)


def _server(
    server: bytes,
    meta: ServerMeta | None,
    age: float,
    beaten: bool,
    data: PoolData,
    thresholds: Thresholds,
) -> PoolServer:
    admin = _decode(_ADMIN, data.admin.get(server))
    state, reason = _state(admin, age, beaten)
    weight = meta.weight if meta is not None else 0
    if admin is not None and admin.weight is not None:
        weight = admin.weight
    load = _load(data.load.get(server), state, age)
    excess = ""
    # A server in maintenance is not judged, and the load of a silent one is of the past.
    if isinstance(load, ServerLoad) and state in ("ready", "drain"):
        excess = _excess(load, thresholds)
    if excess:
        reason = f"{reason}; {excess}" if reason else excess
    elif state == "ready" and server not in data.eligible:
        reason = "not among the eligible servers"
    return PoolServer(
        id=_text(server),
        address=meta.address if meta is not None else "",
        state=state,
        reason=reason,
        weight=weight,
        cpu_usage=_measured(load.cpu_usage) if isinstance(load, ServerLoad) else load,
        memory_usage=_measured(load.memory_usage) if isinstance(load, ServerLoad) else load,
        requests_per_second=_measured(load.requests_per_second)
        if isinstance(load, ServerLoad)
        else load,
        in_flight=_in_flight(data.inflight.get(server), load),
        picks=_count(data.picks.get(server), NO_COUNT),
        last_seen=age,
        overloaded=bool(excess),
    )


def _state(admin: ServerAdmin | None, age: float, beaten: bool) -> tuple[str, str]:
    """Return state and reason: maintenance hides silence, draining does not."""
    decided, why = ("ready", "") if admin is None else (admin.state, admin.reason)
    if decided == "maint":
        return "maint", why or "in maintenance"
    if age > STALE_AFTER or not beaten:
        silence = f"no heartbeat for {_age(age)}" if beaten else "no heartbeat yet"
        if decided == "drain":
            silence += ", draining"
        return ("down" if age > DOWN_AFTER else "stale"), silence
    if decided == "drain":
        return "drain", why or "draining"
    return "ready", ""


def _load(payload: bytes | None, state: str, age: float) -> Maybe[ServerLoad]:
    if payload is None:
        return NO_LOAD
    if state == "down":
        return Absent(State.STALE, f"no heartbeat for {_age(age)}")
    return _decode(_LOAD, payload) or BROKEN_LOAD


def _excess(load: ServerLoad, thresholds: Thresholds) -> str:
    """Return what is above its threshold in words; reaching it is not above."""
    excess: list[str] = []
    if load.cpu_usage is not None and load.cpu_usage > thresholds.cpu:
        excess.append(f"cpu {load.cpu_usage:.4g} % > {thresholds.cpu:g} %")
    if load.memory_usage is not None and load.memory_usage > thresholds.memory:
        excess.append(f"memory {load.memory_usage:.4g} % > {thresholds.memory:g} %")
    requests = load.requests_per_second
    if requests is not None and requests > thresholds.requests:
        excess.append(f"requests {requests:.6g}/s > {thresholds.requests:g}/s")
    return ", ".join(excess)


def _in_flight(counted: bytes | None, load: Maybe[ServerLoad]) -> Maybe[int]:
    if isinstance(load, Absent) and load.state is State.STALE:
        return load
    # Balancers count each request; the server's own number is as old as its heartbeat.
    own = load.in_flight if isinstance(load, ServerLoad) else None
    return _count(counted, NO_COUNT if own is None else own)


def _measured(value: float | None) -> Maybe[float]:
    return NOT_MEASURED if value is None else value


def _count(text: bytes | None, otherwise: Maybe[int]) -> Maybe[int]:
    if text is None:
        return otherwise
    try:
        return int(text)
    except ValueError:
        return Absent(State.UNAVAILABLE, "the count in the pool's keys is not a number")


def _decode(decoder: msgspec.json.Decoder[Value], payload: bytes | None) -> Value | None:
    if payload is None:
        return None
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError:
        return None


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
