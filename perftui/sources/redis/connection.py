"""A connection to Redis that fails fast, says why, and comes back by itself."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from perftui.snapshot import State
from perftui.sources.redis.failure import failure
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    import redis
    from redis.connection import Connection

__all__ = ["Link", "RedisTarget", "connect", "failure"]

TIMEOUT = 0.5
"""Seconds for the connection and for each answer; a monitor must not wait longer."""
NAME = "perftui"
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to reach a server that stays away."""


def connect(target: RedisTarget, timeout: float = TIMEOUT) -> redis.Redis:
    """Return a client that never retries, answers bytes, and waits at most `timeout` seconds.

    It speaks RESP2, which every server and proxy knows, and opens its socket at the first command.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    common: dict[str, Any] = {
        "db": target.db,
        "username": target.username or None,
        "password": target.password or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # The default retries for 4 s at a refused port and for 58 s at a black hole.
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "protocol": 2,
        "redis_connect_func": _introduce,
    }
    if target.scheme == "unix":
        return redis.Redis(unix_socket_path=target.path, **common)
    if target.scheme == "redis":
        return redis.Redis(host=target.host, port=target.port, **common)
    return redis.Redis(
        host=target.host,
        port=target.port,
        ssl=True,
        ssl_cert_reqs=target.certificate_check,
        ssl_check_hostname=target.certificate_check == "required",
        ssl_ca_certs=target.ca_file or None,
        ssl_certfile=target.certificate or None,
        ssl_keyfile=target.certificate_key or None,
        **common,
    )


def _introduce(connection: Connection) -> None:
    """Log in, then set the client's name, which a user without CLIENT may be refused."""
    import redis

    connection.on_connect()
    try:
        connection.send_command("CLIENT", "SETNAME", NAME)
        connection.read_response()
    except redis.ResponseError:
        return


class Link:
    """One client of one source, dropped at an error and opened again by a later use.

    Used by one thread at a time, closed by any. After an error it waits 0.5 s, then twice as long
    each time up to 5 s, before it tries the server again; meanwhile `use` raises the last
    SourceError at once.
    """

    def __init__(
        self,
        target: RedisTarget,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target = target
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._closed = False
        self._in_use = False
        self._failures = 0
        self._retry_at = 0.0
        self._error: SourceError | None = None

    @contextlib.contextmanager
    def use(self) -> Iterator[redis.Redis]:
        """Lend the client, whose replies are raw: bytes, integers and lists.

        Raises SourceError for every way in which Redis can fail inside the block.
        """
        import redis

        if self._error is not None and self._clock() < self._retry_at:
            absent = self._error.absent
            raise SourceError(absent.state, absent.reason, absent.fix)
        client = self._open()
        try:
            yield client
        except (redis.RedisError, OSError) as error:
            # A refused command leaves the connection in order, so there is nothing to wait for.
            refused = isinstance(error, redis.ResponseError)
            found = failure(error, self.target, self._timeout)
            if not refused:
                self._drop(found)
            raise found from error
        finally:
            self._leave()
        self._failures = 0
        self._error = None

    def close(self) -> None:
        """Close the connection for good, at the end of `use` if another thread is inside it."""
        with self._lock:
            self._closed = True
            if self._in_use:
                # Closing a socket under a reader breaks the reader in ways without a name.
                return
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> redis.Redis:
        with self._lock:
            if self._closed:
                raise SourceError(
                    State.UNAVAILABLE, f"the connection to Redis at {self.target.address} is closed"
                )
            if self._client is None:
                self._client = connect(self.target, self._timeout)
                # Raw replies are the same in all versions of the client and cheaper to read.
                self._client.response_callbacks.clear()
            self._in_use = True
            return self._client

    def _leave(self) -> None:
        with self._lock:
            self._in_use = False
            closed = self._closed
        if closed:
            self.close()

    def _drop(self, error: SourceError) -> None:
        self._error = error
        self._retry_at = self._clock() + min(0.5 * 2.0**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
