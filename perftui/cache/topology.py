"""The primaries that hold the keys: one of a standalone server, several of a cluster."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perftui.cache.conversation import Conversation

if TYPE_CHECKING:
    import redis

Slots = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Primary:
    """One server that owns keys; `address` is for people, `slots` is empty without a cluster."""

    client: redis.Redis = field(compare=False)
    address: str
    slots: Slots = ()
    borrowed: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Topology:
    """All primaries; two are equal when the same servers own the same slots.

    `hidden`: the server is a node of a cluster whose other nodes this user may not ask for.
    """

    primaries: tuple[Primary, ...]
    clustered: bool = False

    def owner(self, key: bytes) -> Primary:
        """Return the primary that holds a key, the first where nobody claims its slot."""
        if not self.clustered:
            return self.primaries[0]
        slot = slot_of(key)
        for primary in self.primaries:
            if any(first <= slot <= last for first, last in primary.slots):
                return primary
        return self.primaries[0]

    def close(self) -> None:
        """Close the connections that were opened to reach other nodes."""
        for primary in self.primaries:
            if not primary.borrowed:
                primary.client.close()


def slot_of(key: bytes) -> int:
    """Return the hash slot of a key, by its hash tag if it has one."""
    from redis.crc import key_slot

    return int(key_slot(key))


def topology(client: redis.Redis, cancelled: threading.Event | None = None) -> Topology:
    """Return the primaries of the server or of the cluster that it is a node of.

    A user who may not ask (CLUSTER SLOTS) sees the one server. Raises redis.ConnectionError or
    redis.TimeoutError when the server is gone. Close the result.
    """
    import redis

    with Conversation(client, cancelled or threading.Event()) as talk:
        slots, own = talk.ask_each([("CLUSTER", "SLOTS"), ("CLUSTER", "MYID")])
    if isinstance(slots, redis.ResponseError) or not slots:
        return Topology((Primary(client, _address(client)),))
    ranges: dict[tuple[bytes, int, bytes], list[tuple[int, int]]] = {}
    for first, last, primary, *_ in slots:
        host, port, *identity = primary
        node = (host or b"", int(port), identity[0] if identity else b"")
        ranges.setdefault(node, []).append((int(first), int(last)))
    primaries = []
    for (host, port, identity), owned in sorted(ranges.items()):
        name = host.decode("utf-8", "backslashreplace")
        mine = identity == own
        reached = client if mine else _beside(client, name, port)
        where = f"{name}:{port}" if name else _address(reached)
        primaries.append(Primary(reached, where, tuple(sorted(owned)), borrowed=mine))
    return Topology(tuple(primaries), clustered=True)


def _beside(client: redis.Redis, host: str, port: int) -> redis.Redis:
    """Return a client for another node with the same user, encryption and limits."""
    import redis
    from redis.connection import UnixDomainSocketConnection

    pool = client.connection_pool
    kind: Any = pool.connection_class
    options = dict(pool.connection_kwargs)
    if issubclass(kind, UnixDomainSocketConnection):
        options.pop("path", None)
        options["host"] = "localhost"
        kind = redis.Connection
    options["port"] = port
    if host:
        # A node that does not know its own name answers nothing: it is where it was asked.
        options["host"] = host
    return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **options))


def _address(client: redis.Redis) -> str:
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
