"""What the keys of a pool say about each of its servers, for all who read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

from perftui.pool.keys import ServerAdmin, ServerLoad, ServerMeta, ServerStatus
from perftui.pool.scripts import FORGOTTEN_AFTER, STALE_AFTER

DOWN_AFTER = 30.0
"""Seconds without a heartbeat after which a server is down rather than stale."""


MOST_REMEMBERED = 20_000


class PoolParts(NamedTuple):
    """The keys of one pool by server id; `now` and `seen` are seconds by the clock of Redis."""

    now: float
    meta: dict[bytes, bytes]
    load: dict[bytes, bytes]
    status: dict[bytes, bytes]
    admin: dict[bytes, bytes]
    inflight: dict[bytes, bytes]
    picks: dict[bytes, bytes]
    done: dict[bytes, bytes]
    fails: dict[bytes, bytes]
    seconds: dict[bytes, bytes]
    seen: dict[bytes, float]
    eligible: frozenset[bytes]


HASHES = ("meta", "load", "status", "admin", "inflight", "picks", "done", "fails", "seconds")
"""The fields of PoolParts that are hashes, in their order."""

Value = TypeVar("Value")

_META = msgspec.json.Decoder(ServerMeta)
_LOAD = msgspec.json.Decoder(ServerLoad)
_STATUS = msgspec.json.Decoder(ServerStatus)
_ADMIN = msgspec.json.Decoder(ServerAdmin)

READY = ServerAdmin("ready", "", 0.0)
NO_LOAD = ServerLoad(None, None, None, None)
NO_STATUS = ServerStatus(None, None, None, False, 0, False, False, 0.0, 0.0)


class ServerView(NamedTuple):
    """One server as all readers of the pool see it; what is not known is None.

    Ages are seconds. `unread`: its load is there, but is not what a server of this version writes.
    `slow_start_age`: how long it has been eligible.
    """

    id: str
    address: str
    state: str
    overloaded: bool
    reason: str
    picks: int | None
    last_seen: float
    weight: int
    own_weight: int
    since: float | None
    started: float
    in_flight: int | None
    done: int
    fails: int
    mean_seconds: float | None
    eligible: bool
    kept: bool
    slow_start_age: float
    load: ServerLoad | None
    unread: bool
    status: ServerStatus
    admin: ServerAdmin


class Limits(NamedTuple):
    """What a server is judged by that nobody has judged: percent, percent, per second."""

    cpu: float
    memory: float
    requests: float


class Decoded:
    """The payloads that were decoded last, so that one that has not changed is not decoded anew."""

    def __init__(self) -> None:
        self._metas: dict[bytes, ServerMeta | None] = {}
        self._admins: dict[bytes, ServerAdmin | None] = {}

    def meta(self, payload: bytes | None) -> ServerMeta | None:
        """Return what a server said at its registration."""
        return _remembered(self._metas, _META, payload)

    def admin(self, payload: bytes | None) -> ServerAdmin | None:
        """Return what an operator decided."""
        return _remembered(self._admins, _ADMIN, payload)


def server_views(parts: PoolParts) -> list[dict[str, Any]]:
    """Return the servers by id as the registry tells of them, those silent for an hour left out."""
    return [_dictionary(view) for view in pool_views(parts)]


def pool_views(
    parts: PoolParts, decoded: Decoded | None = None, limits: Limits | None = None
) -> Iterator[ServerView]:
    """Yield the servers by id, those silent for an hour left out.

    `limits` are for servers that the pool has not judged itself.
    """
    known = decoded or Decoded()
    for server in sorted(parts.meta.keys() | parts.seen.keys()):
        seen = parts.seen.get(server)
        if seen is not None and parts.now - seen <= FORGOTTEN_AFTER:
            yield _view(server, max(0.0, parts.now - seen), parts, known, limits)


def _view(
    server: bytes, age: float, parts: PoolParts, decoded: Decoded, limits: Limits | None
) -> ServerView:
    meta = decoded.meta(parts.meta.get(server)) or ServerMeta("", 1, parts.now)
    told = parts.load.get(server)
    said = _decode(_LOAD, told)
    load = said or NO_LOAD
    judged = _decode(_STATUS, parts.status.get(server))
    status = judged or NO_STATUS
    admin = decoded.admin(parts.admin.get(server)) or READY
    if admin.state not in ("drain", "maint"):
        admin = msgspec.structs.replace(admin, state="ready")
    if judged is None and limits is not None and (why := _excess(load, limits)):
        status = msgspec.structs.replace(status, overloaded=True, why=why)
    weight = meta.weight if admin.weight is None else admin.weight
    state = _state(admin, load, age)
    alive = age <= STALE_AFTER
    eligible = alive and server in parts.eligible
    overloaded = alive and admin.state != "maint" and status.overloaded
    since = admin.since if admin.state in ("drain", "maint") else status.since
    if state in ("stale", "down"):
        since = parts.now - age
    done = _number(parts.done.get(server), int)
    seconds = _number(parts.seconds.get(server), float)
    return ServerView(
        _text(server),
        meta.address,
        state,
        overloaded,
        _reason(state, admin, load, status, weight, age, eligible, overloaded),
        _number(parts.picks.get(server), int),
        age,
        weight,
        meta.weight,
        max(0.0, parts.now - since) if since else None,
        max(0.0, parts.now - meta.started),
        _number(parts.inflight.get(server), int),
        done or 0,
        _number(parts.fails.get(server), int) or 0,
        seconds / done if done and seconds is not None else None,
        eligible,
        eligible and overloaded and status.kept,
        max(0.0, parts.now - max(status.since, meta.started)),
        said,
        told is not None and said is None,
        status,
        admin,
    )


def _dictionary(view: ServerView) -> dict[str, Any]:
    load = view.load or NO_LOAD
    return {
        "id": view.id,
        "address": view.address,
        "state": view.state,
        "cpu_usage": load.cpu_usage,
        "memory_usage": load.memory_usage,
        "requests_per_second": load.requests_per_second,
        "overloaded": view.overloaded,
        "reason": view.reason,
        "picks": view.picks or 0,
        "last_seen": view.last_seen,
        "weight": view.weight,
        "own_weight": view.own_weight,
        "since": view.since,
        "started": view.started,
        "in_flight": view.in_flight,
        "done": view.done,
        "fails": view.fails,
        "mean_seconds": view.mean_seconds,
        "p95": load.p95,
        "error_percent": load.error_percent,
        "eligible": view.eligible,
        "kept": view.kept,
        "leaving": load.leaving,
        "admin": view.admin.state,
        "by": view.admin.by,
        "smoothed_cpu": view.status.cpu_usage,
        "smoothed_memory": view.status.memory_usage,
        "smoothed_requests": view.status.requests_per_second,
    }


def _excess(load: ServerLoad, limits: Limits) -> str:
    """Return what is above its limit in words; reaching it is not above."""
    excess = []
    if load.cpu_usage is not None and load.cpu_usage > limits.cpu:
        excess.append(f"cpu {load.cpu_usage:.4g} % > {limits.cpu:.4g} %")
    if load.memory_usage is not None and load.memory_usage > limits.memory:
        excess.append(f"memory {load.memory_usage:.4g} % > {limits.memory:.4g} %")
    requests = load.requests_per_second
    if requests is not None and requests > limits.requests:
        excess.append(f"requests {requests:.6g}/s > {limits.requests:.6g}/s")
    return ", ".join(excess)


def _state(admin: ServerAdmin, load: ServerLoad, age: float) -> str:
    """Maintenance hides silence, draining does not."""
    if admin.state == "maint":
        return "maint"
    if age > STALE_AFTER:
        return "down" if age > DOWN_AFTER else "stale"
    return "drain" if load.leaving else admin.state


def _reason(
    state: str,
    admin: ServerAdmin,
    load: ServerLoad,
    status: ServerStatus,
    weight: int,
    age: float,
    eligible: bool,
    overloaded: bool,
) -> str:
    words = []
    if state in ("stale", "down"):
        silence = f"{age:.0f} s" if age < 120 else f"{age / 60:.0f} min"
        words.append(f"no heartbeat for {silence}")
    if admin.state == "maint":
        words.append(admin.reason or "in maintenance")
    elif admin.state == "drain":
        words.append(admin.reason or "draining")
    elif load.leaving:
        words.append("the server is shutting down")
    if weight == 0:
        words.append("weight 0")
    if overloaded:
        words.append(status.why or "overloaded")
        if eligible:
            words.append("picked, since enough servers are out")
    if not words and not eligible:
        words.append("not among the eligible servers")
    return "; ".join(words)


def _decode(decoder: msgspec.json.Decoder[Value], payload: bytes | None) -> Value | None:
    if payload is None:
        return None
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError:
        # Somebody else wrote it; the next heartbeat puts it right.
        return None


def _remembered(
    known: dict[bytes, Value | None], decoder: msgspec.json.Decoder[Value], payload: bytes | None
) -> Value | None:
    if payload is None:
        return None
    if payload not in known:
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        known[payload] = _decode(decoder, payload)
    return known[payload]


Number = TypeVar("Number", int, float)


def _number(text: bytes | None, kind: type[Number]) -> Number | None:
    try:
        return None if text is None else kind(text)
    except ValueError:
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
