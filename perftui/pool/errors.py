"""What can go wrong between a program and its pool of servers in Redis."""

from __future__ import annotations


class PoolError(Exception):
    """The pool could not be read or changed."""


class PoolUnavailableError(PoolError):
    """Redis did not answer in time, or is left alone for a moment because it did not."""


class PoolRefusedError(PoolError):
    """Redis answered that it will not: a missing permission, a full memory, a key of another type.

    The message is the server's own.
    """


class UnknownServerError(PoolError, LookupError):
    """The pool has no server of this id: it never registered, or it was silent for an hour."""

    def __init__(self, pool: str, servers: tuple[str, ...]) -> None:
        names = ", ".join(ascii(server) for server in servers)
        super().__init__(f"pool {pool!a} has no server {names}; register it first")
        self.servers = servers
