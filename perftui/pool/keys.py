"""The Redis keys of a server pool; one hash tag keeps a pool in one Cluster slot."""

from __future__ import annotations

import msgspec

POOLS_KEY = "perftui:pools"
"""Set of the names of all pools."""


def pool_key(pool: str, part: str) -> str:
    """Return the key of one part of a pool.

    Parts: `meta` and `load` (hashes, server id to JSON), `seen` (sorted set, server id by the
    Redis time of its last heartbeat), `ok` (sorted set of the eligible ids), `admin` (hash, id to
    state and reason), `inflight` and `picks` (hashes of counts), `rr` (round-robin counter).
    """
    return f"perftui:pool:{{{pool}}}:{part}"


class ServerMeta(msgspec.Struct, frozen=True):
    """What a server says once, when it registers."""

    address: str
    weight: int
    started: float


class ServerLoad(msgspec.Struct, frozen=True):
    """What a server says at each heartbeat; percent, percent, per second, requests at work."""

    cpu_usage: float
    memory_usage: float
    requests_per_second: float
    in_flight: int


class ServerAdmin(msgspec.Struct, frozen=True):
    """What an operator decided for a server: `ready`, `drain` or `maint`."""

    state: str
    reason: str
    since: float
