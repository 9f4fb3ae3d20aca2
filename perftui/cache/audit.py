"""The record of what was changed by hand, kept in a Redis stream."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

AUDIT_KEY = "perftui:audit"
LENGTH = 1000
"""Entries that are kept, roughly, as Redis cuts a stream in whole nodes."""


def operator() -> str:
    """Return the login name of the user who acts, `unknown` where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def record_audit(
    client: redis.Redis,
    *,
    who: str,
    action: str,
    pattern: bytes,
    deleted: int,
    complete: bool,
    host: str = "",
) -> str:
    """Append one entry to the audit stream, with the time of Redis in seconds.

    Returns what went wrong in words, empty when it is written: the action itself is done already
    and must not fail because of its record.
    """
    import redis

    try:
        seconds, micros = client.execute_command("TIME")
        client.execute_command(
            "XADD",
            AUDIT_KEY,
            "MAXLEN",
            "~",
            LENGTH,
            "*",
            "time",
            f"{int(seconds)}.{int(micros):06d}",
            "who",
            who.encode("utf-8", "backslashreplace"),
            "host",
            host or socket.gethostname(),
            "action",
            action,
            "pattern",
            pattern,
            "deleted",
            deleted,
            "complete",
            int(complete),
        )
    except (redis.RedisError, OSError) as error:
        return f"no audit entry was written: {error}"
    return ""
