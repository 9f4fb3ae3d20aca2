"""One connection on which a Redis server tells which keys changed.

`CLIENT TRACKING ON REDIRECT <own id> BCAST PREFIX <prefix>` and SUBSCRIBE on the same connection,
in RESP2: the server sends the names of all changed keys as messages of the channel
`__redis__:invalidate`, in the order of the changes, and a null for a flushed database. See
https://redis.io/docs/latest/develop/reference/client-side-caching/. Tracking belongs to the
connection: it never comes back by itself, so nothing here connects again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from redis.connection import Connection

NAME = "perftui-cache"
"""What CLIENT LIST calls the connection."""
INVALIDATE = b"__redis__:invalidate"


class Changed(msgspec.Struct, frozen=True, gc=False):
    """Keys that were written, deleted, evicted or expired; None: all of them."""

    keys: list[bytes] | None


class Published(msgspec.Struct, frozen=True, gc=False):
    """The payload of a message on the pattern channel."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The answer to the PING of that name: whatever changed before it was sent has been told."""

    name: bytes


class TrackingConnection:
    """A connection that was just opened; used by one thread, but `wake` by any.

    `make` returns a connection that is not connected yet, with RESP2. After `open`, `refused` tells
    why the server does not track keys, and `unheard` why the pattern channel cannot be heard; both
    are empty when all is well. With `track=False` it is only the channel that is listened to.
    """

    def __init__(
        self, make: Callable[[], Connection], prefix: bytes, channel: bytes, *, track: bool = True
    ) -> None:
        self._connection = make()
        self._prefix = prefix
        self._channel = channel
        self.refused = "" if track else "the memory tier is switched off"
        self.unheard = ""

    @property
    def hears(self) -> bool:
        """Whether there is anything to listen to."""
        return not (self.refused and self.unheard)

    def open(self) -> None:
        """Connect and subscribe; raises redis.RedisError or OSError when there is no server."""
        self._connection.connect()
        self._ask_and_pass_over("CLIENT", "SETNAME", NAME)
        self.refused = self.refused or self._track() or self._subscribe(INVALIDATE)
        self.unheard = self._subscribe(self._channel)

    def _track(self) -> str:
        from redis.exceptions import ResponseError

        try:
            own_id = self._ask("CLIENT", "ID")
            prefix = ("PREFIX", self._prefix) if self._prefix else ()
            self._ask("CLIENT", "TRACKING", "ON", "REDIRECT", own_id, "BCAST", *prefix)
        except ResponseError as error:
            return _checked(error)
        return ""

    def _subscribe(self, channel: bytes) -> str:
        from redis.exceptions import ResponseError

        try:
            self._connection.send_command("SUBSCRIBE", channel)
            # Tracking is on by now, so that a message may come before the confirmation; what it
            # names cannot be in memory yet.
            while True:
                reply = self._connection.read_response(disable_decoding=True)
                if isinstance(reply, list) and reply[0] == b"subscribe":
                    return ""
        except ResponseError as error:
            return _checked(error)

    def _ask_and_pass_over(self, *command: str | bytes) -> None:
        """Ask for something that is only good to have; a client's own option for it insists."""
        from redis.exceptions import ResponseError

        # Not every user may run CLIENT.
        with contextlib.suppress(ResponseError):
            self._ask(*command)

    def _ask(self, *command: str | bytes | int) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response(disable_decoding=True)

    def ping(self, name: bytes) -> None:
        """Send a PING, which is allowed on a subscribed connection."""
        self._connection.send_command("PING", name)

    def wake(self) -> None:
        """Make `read` of another thread return soon; does nothing on a broken connection."""
        import redis

        try:
            self._connection.send_command("PING", check_health=False)
        except (redis.RedisError, OSError, AttributeError):
            # The other thread just closed it, which is as good.
            return

    def read(self, seconds: float) -> Changed | Published | Pong | None:
        """Return the next message, None when none came in so many seconds.

        Raises redis.RedisError or OSError when the connection is lost.
        """
        if not self._connection.can_read(max(0.0, seconds)):
            return None
        reply = self._connection.read_response(disable_decoding=True)
        if not isinstance(reply, list):
            # Without any subscription PING is answered as ever.
            return Pong(reply if isinstance(reply, bytes) else b"")
        if reply[0] == b"message":
            if reply[1] == INVALIDATE:
                return Changed(reply[2])
            return Published(reply[2])
        return Pong(reply[1]) if reply[0] == b"pong" else None

    def close(self) -> None:
        """Close the connection, with which tracking ends."""
        self._connection.disconnect()


def _checked(error: Exception) -> str:
    """Return the words of a refusal that will be repeated; raises what may be over soon."""
    import redis

    if isinstance(error, redis.exceptions.NoPermissionError):
        return str(error)
    text = str(error)
    if "unknown" in text.lower() or "syntax" in text.lower() or "not supported" in text.lower():
        return text
    raise error
