"""Which run of which server answers, so that keys are put back where they came from."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perftui.cache.conversation import Conversation

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True)
class Identity:
    """The run id, which a restart changes, and the version; empty where INFO is not allowed."""

    run_id: str = ""
    version: str = ""


def identity(client: redis.Redis, cancelled: threading.Event | None = None) -> Identity:
    """Return who answers.

    Raises redis.ConnectionError or redis.TimeoutError when the server is gone.
    """
    with Conversation(client, cancelled or threading.Event()) as talk:
        return identity_of(talk)


def identity_of(talk: Conversation) -> Identity:
    """Return who is at the other end of a conversation."""
    reply = talk.ask_each([("INFO", "server")])[0]
    if not isinstance(reply, bytes):
        return Identity()
    lines = (line.partition(b":") for line in reply.splitlines())
    fields = {name: value.decode("ascii", "replace") for name, _, value in lines}
    return Identity(fields.get(b"run_id", ""), fields.get(b"redis_version", ""))


def version_numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers to compare, empty for one that has none."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
