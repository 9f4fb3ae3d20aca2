"""What the keys of a pool say about each of its servers, as plain dictionaries."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import msgspec

from perftui.pool.keys import ServerAdmin, ServerLoad, ServerMeta, ServerStatus
from perftui.pool.scripts import FORGOTTEN_AFTER, STALE_AFTER

DOWN_AFTER = 30.0
"""Seconds without a heartbeat after which a server is down rather than stale."""


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


def server_views(parts: PoolParts) -> list[dict[str, Any]]:
    """Return the servers by id, those silent for an hour left out."""
    views = []
    for server in sorted(parts.meta.keys() | parts.seen.keys()):
        seen = parts.seen.get(server)
        if seen is not None and parts.now - seen <= FORGOTTEN_AFTER:
            views.append(_view(server, max(0.0, parts.now - seen), parts))
    return views


def _view(server: bytes, age: float, parts: PoolParts) -> dict[str, Any]:
    meta = _decode(_META, parts.meta.get(server)) or ServerMeta("", 1, parts.now)
    load = _decode(_LOAD, parts.load.get(server)) or NO_LOAD
    status = _decode(_STATUS, parts.status.get(server)) or NO_STATUS
    admin = _decode(_ADMIN, parts.admin.get(server)) or READY
    if admin.state not in ("drain", "maint"):
        admin = msgspec.structs.replace(admin, state="ready")
    weight = meta.weight if admin.weight is None else admin.weight
    state = _state(admin, load, age)
    alive = age <= STALE_AFTER
    eligible = alive and server in parts.eligible
    overloaded = alive and admin.state != "maint" and status.overloaded
    since = {"drain": admin.since, "maint": admin.since}.get(admin.state, status.since)
    if state in ("stale", "down"):
        since = parts.now - age
    done = _number(parts.done.get(server), int)
    seconds = _number(parts.seconds.get(server), float)
    return {
        "id": _text(server),
        "address": meta.address,
        "state": state,
        "cpu_usage": load.cpu_usage,
        "memory_usage": load.memory_usage,
        "requests_per_second": load.requests_per_second,
        "overloaded": overloaded,
        "reason": _reason(state, admin, load, status, weight, age, eligible, overloaded),
        "picks": _number(parts.picks.get(server), int) or 0,
        "last_seen": age,
        "weight": weight,
        "own_weight": meta.weight,
        "since": max(0.0, parts.now - since) if since else None,
        "started": max(0.0, parts.now - meta.started),
        "in_flight": _number(parts.inflight.get(server), int),
        "done": done or 0,
        "fails": _number(parts.fails.get(server), int) or 0,
        "mean_seconds": seconds / done if done and seconds is not None else None,
        "p95": load.p95,
        "error_percent": load.error_percent,
        "eligible": eligible,
        "kept": eligible and overloaded and status.kept,
        "leaving": load.leaving,
        "admin": admin.state,
        "by": admin.by,
        "smoothed_cpu": status.cpu_usage,
        "smoothed_memory": status.memory_usage,
        "smoothed_requests": status.requests_per_second,
    }


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


Number = TypeVar("Number", int, float)


def _number(text: bytes | None, kind: type[Number]) -> Number | None:
    try:
        return None if text is None else kind(text)
    except ValueError:
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
