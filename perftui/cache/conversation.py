"""One connection of a Redis client, driven so that waiting can be timed and broken off."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis

STEP = 0.05
GRACE = 0.1
"""Seconds a cancelled caller still waits for an answer that is under way."""


class CancelledError(Exception):
    """The answer was not waited for, because the caller cancelled."""


class Conversation:
    """Commands and raw replies over one connection borrowed from the client's pool.

    Nothing is retried: a delete whose answer got lost must not be counted twice. After each
    command `waited` is the time in seconds to the first byte of the answer, which is the round
    trip and the server's work but not this program's own parsing.
    """

    def __init__(
        self, client: redis.Redis, cancelled: threading.Event, timeout: float = 5.0
    ) -> None:
        self.waited = 0.0
        self._cancelled = cancelled
        self._timeout = timeout
        self._holder = client.client()
        self._connection = self._holder.connection

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import redis

        # Half a reply may still be under way; only after a refusal the connection is in order.
        self.close(broken=error is not None and not isinstance(error, redis.ResponseError))

    def close(self, *, broken: bool = False) -> None:
        """Give the connection back, cut off when an answer may still be under way."""
        if broken:
            self._connection.disconnect()
        self._holder.close()

    def ask(self, *command: bytes | str | int) -> Any:
        """Return the reply to one command; bytes stay bytes.

        Raises redis.ResponseError for a refusal, redis.ConnectionError or redis.TimeoutError when
        the server is gone, CancelledError when the caller cancels and no answer is near.
        """
        self._connection.send_command(*command)
        self._wait()
        return self._connection.read_response(disable_decoding=True)

    def ask_each(self, commands: Iterable[tuple[bytes | str | int, ...]]) -> list[Any]:
        """Return the replies to several commands sent at once; a refusal is a reply too."""
        import redis

        commands = list(commands)
        if not commands:
            return []
        self._connection.send_packed_command(self._connection.pack_commands(commands))
        self._wait()
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(self._connection.read_response(disable_decoding=True))
            except redis.ResponseError as error:
                replies.append(error)
        return replies

    def _wait(self) -> None:
        import redis

        start = time.perf_counter()
        deadline = start + self._timeout
        broken_at: float | None = None
        while not self._connection.can_read(STEP):
            now = time.perf_counter()
            if self._cancelled.is_set():
                broken_at = broken_at or now + GRACE
                if now >= broken_at:
                    raise CancelledError
            if now >= deadline:
                raise redis.TimeoutError(f"no answer within {self._timeout:g} s")
        self.waited = time.perf_counter() - start
