"""Type and expiry of some keys, and what Redis counted reading them as."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from perftui.cache.conversation import Conversation
    from perftui.cache.topology import Primary, Topology

GONE = "none"
"""The type of a key that is not there."""


class KeyDetail(msgspec.Struct, frozen=True, gc=False):
    """`type` is a name of Redis, `none` for a key that is gone, empty when Redis would not say.

    `ttl` is in seconds, None for ever or when Redis would not say.
    """

    type: str
    ttl: float | None = None


class KeyDetails(msgspec.Struct, frozen=True):
    """The details of some keys; `refused` is the first command that Redis refused, and why.

    `hits` and `misses` are what the look-ups have been counted as.
    """

    found: dict[bytes, KeyDetail]
    hits: int = 0
    misses: int = 0
    refused: str = ""


def ask_details(talk: Conversation, keys: Sequence[bytes]) -> KeyDetails:
    """Return what one server says of its keys.

    TYPE and PTTL are counted as a hit or a miss each, but do not make a key recently used. Raises
    what Conversation does when the server is gone.
    """
    commands = [(word, key) for key in keys for word in ("TYPE", "PTTL")]
    replies = talk.ask_each(commands)
    found: dict[bytes, KeyDetail] = {}
    hits = misses = 0
    refused = ""
    for number, key in enumerate(keys):
        kind, milliseconds = replies[2 * number : 2 * number + 2]
        for word, reply in (("TYPE", kind), ("PTTL", milliseconds)):
            if isinstance(reply, Exception):
                refused = refused or f"{word}: {reply}"
        name = kind.decode("utf-8", "backslashreplace") if isinstance(kind, bytes) else ""
        ttl = None
        if isinstance(milliseconds, int):
            ttl = milliseconds / 1000 if milliseconds >= 0 else None
            hits += milliseconds != -2
            misses += milliseconds == -2
        if name:
            hits += name != GONE
            misses += name == GONE
        found[key] = KeyDetail(name, ttl)
    return KeyDetails(found, hits, misses, refused)


def read_details(where: Topology, keys: Sequence[bytes], cancelled: threading.Event) -> KeyDetails:
    """Return what the servers say of their keys; raises what Conversation does."""
    from perftui.cache.conversation import Conversation

    owners: dict[Primary, list[bytes]] = {}
    for key in keys:
        owners.setdefault(where.owner(key), []).append(key)
    parts: list[KeyDetails] = []
    for primary, mine in owners.items():
        with Conversation(primary.client, cancelled) as talk:
            parts.append(ask_details(talk, mine))
    return KeyDetails(
        found={key: detail for part in parts for key, detail in part.found.items()},
        hits=sum(part.hits for part in parts),
        misses=sum(part.misses for part in parts),
        refused=next((part.refused for part in parts if part.refused), ""),
    )
