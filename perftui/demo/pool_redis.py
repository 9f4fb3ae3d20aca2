"""The Redis of the demo's pool, for threads that must not wait for it.

Without Redis the demo goes on: after an error Redis is left alone for a moment, so that a dead
server costs next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

REDIS_PAUSE = 0.5
"""Seconds in which Redis is not asked again after it failed."""


class PoolRedis:
    """Asks Redis, which may come and go."""

    def __init__(self, unix_socket: Path, client_name: str) -> None:
        self._socket = unix_socket
        self._client_name = client_name
        self._client: Redis | None = None
        self._silent_until = 0.0

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """Return what `question` gets from the client, None when Redis cannot answer."""
        from redis import RedisError

        if time.monotonic() < self._silent_until:
            return None
        if self._client is None:
            self._client = connect(self._socket, self._client_name)
        try:
            return question(self._client)
        except RedisError:
            self._silent_until = time.monotonic() + REDIS_PAUSE
            return None


def connect(unix_socket: Path, client_name: str) -> Redis:
    """Return a client that fails fast and never tries twice."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(
        unix_socket_path=str(unix_socket),
        client_name=client_name,
        protocol=2,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )
