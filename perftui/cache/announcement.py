"""Telling every process with a memory tier which keys are about to go, or have just gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from perftui.cache.conversation import Conversation
from perftui.cache.glob import literal_prefix
from perftui.cache.pattern_message import (
    CHANNELS,
    channel,
    encode_message,
    message_for,
    prefix_of,
)

if TYPE_CHECKING:
    from perftui.cache.topology import Topology


class Announcement:
    """The pattern message of one invalidation, sent with `publish` before it and again after it.

    It goes to the channels that somebody listens to, as far as keys under their prefix can match,
    and to that of `prefix`. `receivers` counts those who got the last one; `problem` says what went
    wrong, empty when all is well: keys that go are still reported by Redis one by one.
    """

    def __init__(self, pattern: bytes, by: str, prefix: bytes | None = None) -> None:
        self.receivers = 0
        self.problem = ""
        self._message = encode_message(message_for(pattern, by))
        self._start = literal_prefix(pattern)
        self._prefix = prefix

    def publish(self, topology: Topology, cancelled: threading.Event) -> None:
        """Send the message; refusals and silence are kept as `problem`.

        Raises redis.ConnectionError or redis.TimeoutError when a server is gone.
        """
        import redis

        names: set[bytes] = set() if self._prefix is None else {channel(self._prefix)}
        self.receivers, self.problem = 0, ""
        # A node of a cluster knows its own listeners only, but passes messages on to all nodes.
        for primary in topology.primaries:
            with Conversation(primary.client, cancelled) as talk:
                found = talk.ask_each([("PUBSUB", "CHANNELS", CHANNELS)])[0]
            if isinstance(found, redis.ResponseError):
                self.problem = f"listening memory tiers cannot be found: {found}"
                continue
            names |= {name for name in found if self._concerns(name)}
        if not names:
            return
        with Conversation(topology.primaries[0].client, cancelled) as talk:
            for reply in talk.ask_each(("PUBLISH", name, self._message) for name in sorted(names)):
                if isinstance(reply, redis.ResponseError):
                    self.problem = f"memory tiers were not told at once: {reply}"
                else:
                    self.receivers += int(reply)

    def _concerns(self, name: bytes) -> bool:
        prefix = prefix_of(name)
        if prefix is None:
            return False
        return prefix.startswith(self._start) or self._start.startswith(prefix)
