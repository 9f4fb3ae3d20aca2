"""Keeps a tracking connection to one server: connects, listens, proves that it hears, again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from perftui.cache.coherence import Board, CoherenceState, LinkReport
from perftui.cache.coherent_memory import CoherentMemory
from perftui.cache.pattern_message import PatternMessageError, decode_message
from perftui.cache.tracking import Changed, Pong, Published, TrackingConnection

if TYPE_CHECKING:
    from redis.connection import Connection

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between attempts to connect; every process of a service tries after an outage."""
REFUSED_PAUSE = 30.0
"""Seconds after which a server that refused is asked again; rights may have been granted."""
ENDED_AT_ONCE = 10_000
"""Entries of the memory tier that are looked at with each PING, for those that have ended."""
FIX_TRACKING = "ACL SETUSER {user} +client|id +client|tracking"
FIX_CHANNELS = "ACL SETUSER {user} +subscribe +ping &__redis__:invalidate &{channel}"


class TrackingLink:
    """A daemon thread that tells memory what changed on one server, from `start` to `stop`.

    A PING goes out `interval` seconds after the answer to the last one, and without an answer
    within `limit` seconds the connection is given up. An answer proves that every change before
    the question is known here, but for those of the same cycle of the server's event loop, so a
    value from memory is at most the `bound` of the board out of date, in a network that swallows
    everything too.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Connection],
        prefix: bytes,
        channel: bytes,
        memory: CoherentMemory,
        board: Board,
        interval: float,
        limit: float,
        user: str = "",
        track: bool = True,
    ) -> None:
        self.name = name
        self._make = make
        self._prefix = prefix
        self._channel = channel
        self._memory = memory
        self._board = board
        self._interval = interval
        self._limit = limit
        self._user = user or "default"
        self._track = track
        self._stopped = threading.Event()
        self._again = threading.Event()
        self._connection: TrackingConnection | None = None
        self._pause = FIRST_PAUSE
        self._unwanted = False
        self._thread = threading.Thread(target=self._run, name=f"perftui-cache-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; `join` waits for it."""
        self._stopped.set()
        self.hurry()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def hurry(self) -> None:
        """Look now whether to stop, or try now to connect."""
        self._again.set()
        connection = self._connection
        if connection is not None:
            connection.wake()

    def renew(self) -> None:
        """Give this connection up and make another one."""
        self._unwanted = True
        self.hurry()

    def _run(self) -> None:
        import redis

        while not self._stopped.is_set():
            connection = TrackingConnection(
                self._make, self._prefix, self._channel, track=self._track
            )
            try:
                self._listen(connection)
            except (redis.RedisError, OSError) as error:
                self._lose(error)
            finally:
                self._connection = None
                connection.close()
            self._again.wait(self._pause * random.uniform(0.5, 1.0))
            self._again.clear()

    def _lose(self, error: BaseException) -> None:
        text = str(error) or type(error).__name__
        self._board.report(self.name, LinkReport(CoherenceState.LOST, reason=text))
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def _listen(self, connection: TrackingConnection) -> None:
        asked = time.monotonic()
        connection.open()
        self._connection = connection
        self._report(connection, asked)
        self._pause = FIRST_PAUSE
        if not connection.hears:
            self._pause = REFUSED_PAUSE
            return
        retry_at = asked + REFUSED_PAUSE
        next_ping = time.monotonic()
        sent: float | None = None
        count = 0
        self._unwanted = False
        while not self._stopped.is_set():
            if self._unwanted:
                raise ConnectionError("the server is not the primary any more")
            now = time.monotonic()
            if connection.refused and now >= retry_at:
                return
            if sent is None and now >= next_ping:
                count += 1
                connection.ping(b"%d" % count)
                sent = now
            if sent is not None and now >= sent + self._limit:
                raise TimeoutError(f"no answer to PING within {self._limit:g} s")
            due = next_ping if sent is None else sent + self._limit
            message = connection.read(due - now)
            if isinstance(message, Changed):
                self._apply(message)
            elif isinstance(message, Published):
                self._obey(message.payload)
            elif sent is not None and message == Pong(b"%d" % count):
                self._board.renew(self.name, sent, time.monotonic() - sent)
                sent, next_ping = None, time.monotonic() + self._interval
                self._memory.tier.drop_expired(ENDED_AT_ONCE)

    def _report(self, connection: TrackingConnection, asked: float) -> None:
        if not connection.refused:
            # Nothing can be in memory that changed before tracking began: it is emptied now.
            report = LinkReport(
                CoherenceState.LIVE, asked + self._limit + self._interval, connection.unheard
            )
        elif not self._track:
            report = LinkReport(CoherenceState.OFF, reason=connection.refused)
        else:
            channels = "channel" in connection.refused or "subscribe" in connection.refused
            fix = FIX_CHANNELS if channels else FIX_TRACKING
            report = LinkReport(
                CoherenceState.OFF,
                reason=f"the server does not tell of changes: {connection.refused}",
                fix=fix.format(
                    user=self._user, channel=self._channel.decode("utf-8", "backslashreplace")
                ),
            )
        self._board.report(self.name, report)

    def _apply(self, message: Changed) -> None:
        if message.keys is None:
            self._memory.flush()
            self._board.flushes += 1
            return
        self._memory.drop(message.keys)
        self._board.changes += len(message.keys)

    def _obey(self, payload: bytes) -> None:
        try:
            glob = decode_message(payload).glob
        except PatternMessageError:
            self._memory.flush()
            self._board.flushes += 1
            return
        self._memory.drop_matching(glob)
        self._board.patterns += 1
