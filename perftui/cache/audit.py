"""The record of what was changed by hand, kept in a Redis stream."""

from __future__ import annotations

import getpass
import socket
import threading
from typing import TYPE_CHECKING

import msgspec

from perftui.cache.conversation import Conversation

if TYPE_CHECKING:
    import redis

AUDIT_KEY = "perftui:audit"
LENGTH = 1000
"""Entries that are kept, roughly, as Redis cuts a stream in whole nodes."""
PATIENCE = 1.0
"""Seconds that are waited for the record: what it is about has been done already."""
LONGEST_PATTERN = 1000


class AuditEntry(msgspec.Struct, frozen=True):
    """One action: `action` is invalidate, undo or delete, `time` Unix time by the clock of Redis.

    `deleted` counts keys that went, for an undo those that came back; `id` is that of the stream.
    """

    id: str
    time: float
    who: str
    host: str
    action: str
    pattern: bytes
    matched: int
    deleted: int
    denied: int
    complete: bool


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
    matched: int = 0,
    denied: int = 0,
    host: str = "",
    patience: float = PATIENCE,
) -> str:
    """Append one entry to the audit stream, with the time of Redis in seconds.

    Returns what went wrong in words, empty when it is written: the action itself is done already
    and must not fail because of its record, nor wait longer than `patience` seconds for it.
    """
    problems: list[str] = []
    fields: dict[str, bytes | str | int] = {
        "who": who.encode("utf-8", "backslashreplace"),
        "host": host or socket.gethostname(),
        "action": action,
        "pattern": pattern[:LONGEST_PATTERN],
        "matched": matched,
        "deleted": deleted,
        "denied": denied,
        "complete": int(complete),
    }
    # The client's own limits may be far longer, above all for a new connection.
    writer = threading.Thread(
        target=_write, args=(client, fields, problems), name="audit", daemon=True
    )
    writer.start()
    writer.join(patience)
    if writer.is_alive():
        return f"no audit entry was written: no answer within {patience:g} s"
    return problems[0] if problems else ""


def read_audit(client: redis.Redis, limit: int = 50) -> list[AuditEntry]:
    """Return the newest entries, the newest first, those of older versions too.

    Raises redis.RedisError when the stream cannot be read.
    """
    with Conversation(client, threading.Event()) as talk:
        replies = talk.ask("XREVRANGE", AUDIT_KEY, "+", "-", "COUNT", limit)
    return [_entry(identity, fields) for identity, fields in replies]


def _write(client: redis.Redis, fields: dict[str, bytes | str | int], problems: list[str]) -> None:
    import redis

    try:
        with Conversation(client, threading.Event()) as talk:
            seconds, micros = talk.ask("TIME")
            entry: list[bytes | str | int] = ["time", f"{int(seconds)}.{int(micros):06d}"]
            for name, value in fields.items():
                entry += [name, value]
            talk.ask("XADD", AUDIT_KEY, "MAXLEN", "~", LENGTH, "*", *entry)
    # The last two: the client was closed after nobody waited for the answer any longer.
    except (redis.RedisError, OSError, ValueError, AttributeError) as error:
        problems.append(f"no audit entry was written: {error}")


def _entry(identity: bytes, fields: list[bytes]) -> AuditEntry:
    given = dict(zip(fields[::2], fields[1::2], strict=False))

    def text(name: bytes) -> str:
        return given.get(name, b"").decode("utf-8", "backslashreplace")

    def number(name: bytes) -> int:
        value = given.get(name, b"")
        # Anybody may have written to the stream.
        return int(value) if value.isdigit() and len(value) < 19 else 0

    return AuditEntry(
        id=identity.decode("ascii", "backslashreplace"),
        time=_seconds(text(b"time"), identity),
        who=text(b"who"),
        host=text(b"host"),
        action=text(b"action"),
        pattern=given.get(b"pattern", b""),
        matched=number(b"matched"),
        deleted=number(b"deleted"),
        denied=number(b"denied"),
        complete=given.get(b"complete") == b"1",
    )


def _seconds(text: str, identity: bytes) -> float:
    whole, _, fraction = text.partition(".")
    if whole.isascii() and whole.isdigit() and len(whole) < 12 and fraction[:6].isdigit():
        return float(f"{whole}.{fraction[:6]}")
    # The identity of an entry begins with its moment in milliseconds.
    return int(identity.partition(b"-")[0]) / 1000
