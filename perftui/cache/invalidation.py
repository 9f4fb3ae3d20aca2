"""Deleting all keys that match a glob pattern while other clients hardly notice.

SCAN in pages whose size follows the time the server needs for one, UNLINK in chunks, nothing that
Redis executes in one piece for more than a few milliseconds.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from perftui.cache.audit import record_audit
from perftui.cache.conversation import CancelledError, Conversation
from perftui.cache.estimate import Estimate, estimate
from perftui.cache.glob import literal, literal_prefix
from perftui.cache.protection import OWN_PREFIX, is_protected

if TYPE_CHECKING:
    import redis

__all__ = ["Estimate", "Invalidation", "InvalidationResult", "Progress", "estimate"]

SMALLEST_PAGE, FIRST_PAGE, LARGEST_PAGE = 100, 500, 2000
SHORT, LONG = 0.001, 0.002
"""Seconds of server time the longest command of a page shall take, at least and at most."""
UNLINK_CHUNK = 500
DEL_CHUNK = 100
"""DEL frees at once, so that big values hold up other clients; UNLINK leaves that to a thread."""
PROGRESS_INTERVAL = 0.1


class Progress(msgspec.Struct, frozen=True):
    """How far a run is; `scanned` of about `total` keys, both approximate, `page` keys at once."""

    scanned: int
    total: int
    matched: int
    deleted: int
    denied: int
    protected: int
    seconds: float
    page: int


class InvalidationResult(msgspec.Struct, frozen=True):
    """What a run did.

    `deleted` is what the server confirmed; `denied` are keys this user may not delete, `protected`
    keys of perftui itself, `unanswered` keys in a batch that was sent but never answered.
    `complete`: the whole keyspace was seen. `error` and `audit_error` are empty when all is well.
    """

    pattern: bytes
    matched: int
    deleted: int
    denied: int
    protected: int
    unanswered: int
    seconds: float
    complete: bool
    cancelled: bool
    error: str
    audit_error: str = ""


class _RefusedError(Exception):
    """The server will not let keys be deleted at all."""


class Invalidation:
    """One run over one server; `client` is any redis.Redis, also one that decodes its replies.

    On a Redis Cluster make one for each primary. Pace `normal` goes as fast as other clients'
    latency allows, `gentle` rests as long as it worked. With `audit_as`, the name of the user, an
    entry is written to the audit stream. Raises ValueError for an empty pattern.
    """

    def __init__(
        self,
        client: redis.Redis,
        pattern: bytes | str,
        pace: Literal["normal", "gentle"] = "normal",
        audit_as: str = "",
    ) -> None:
        self.pattern = pattern.encode() if isinstance(pattern, str) else pattern
        if not self.pattern:
            raise ValueError("an empty pattern matches no key")
        if pace not in ("normal", "gentle"):
            raise ValueError(f"pace is normal or gentle, not {pace!r}")
        self._client = client
        self._gentle = pace == "gentle"
        self._audit_as = audit_as
        self._cancel = threading.Event()
        self._verb = "UNLINK"
        self._singly = False
        self._page = FIRST_PAGE
        self._slowest = 0.0
        self._total = 0
        self._scanned = self._matched = self._deleted = self._denied = self._protected = 0
        self._unanswered = 0
        self._start = 0.0
        self._shown = 0.0
        self._progress: Callable[[Progress], None] | None = None

    def cancel(self) -> None:
        """Stop after the batch under way; may be called from any thread, takes at most 0.2 s."""
        self._cancel.set()

    def run(self, progress: Callable[[Progress], None] | None = None) -> InvalidationResult:
        """Delete, calling `progress` some ten times a second; never raises for Redis' sake.

        Keys that are written during the run may stay. A second run goes on counting.
        """
        import redis

        self._progress = progress
        self._start = time.perf_counter()
        complete, error = False, ""
        try:
            with Conversation(self._client, self._cancel) as talk:
                self._choose_verb(talk)
                complete = self._delete_matching(talk)
        except CancelledError:
            complete = False
        except _RefusedError as refusal:
            error = str(refusal)
        except redis.exceptions.NoPermissionError as refusal:
            error = f"{refusal}; allow it with ACL SETUSER"
        except (redis.RedisError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        self._show()
        return self._result(complete, error)

    def _result(self, complete: bool, error: str) -> InvalidationResult:
        seconds = time.perf_counter() - self._start
        audit_error = ""
        if self._audit_as:
            audit_error = record_audit(
                self._client,
                who=self._audit_as,
                action="invalidate",
                pattern=self.pattern,
                deleted=self._deleted,
                complete=complete,
            )
        return InvalidationResult(
            pattern=self.pattern,
            matched=self._matched,
            deleted=self._deleted,
            denied=self._denied,
            protected=self._protected,
            unanswered=self._unanswered,
            seconds=seconds,
            complete=complete,
            cancelled=self._cancel.is_set() and not complete,
            error=error,
            audit_error=audit_error,
        )

    def _choose_verb(self, talk: Conversation) -> None:
        """Find a command that may delete by trying it on a key that does not exist."""
        import redis

        absent = literal_prefix(self.pattern) + b"absent-" + secrets.token_hex(8).encode()
        for verb in ("UNLINK", "DEL"):
            try:
                talk.ask(verb, absent)
            except redis.ReadOnlyError:
                raise _RefusedError(_replica(talk)) from None
            except redis.exceptions.NoPermissionError as error:
                # Not this key says nothing about the others; not this command says all.
                if "command" in str(error):
                    continue
            except redis.ResponseError as error:
                text = str(error)
                if "unknown command" in text.lower():
                    continue
                if not text.startswith("MOVED") and not isinstance(
                    error, redis.exceptions.AskError
                ):
                    raise
            self._verb = verb
            return
        raise _RefusedError(
            "this user may run neither UNLINK nor DEL; allow: ACL SETUSER USER +unlink"
        )

    def _delete_matching(self, talk: Conversation) -> bool:
        key = literal(self.pattern)
        if key is not None:
            self._handle(talk, [key])
            return True
        round_trip = min(self._time_ping(talk) for _ in range(3))
        self._total = self._dbsize(talk)
        cursor: bytes = b"0"
        while not self._cancel.is_set():
            before = time.perf_counter()
            cursor, keys = talk.ask("SCAN", cursor, "MATCH", self.pattern, "COUNT", self._page)
            self._slowest = talk.waited
            self._scanned += self._page
            if not self._handle(talk, keys):
                return False
            if cursor == b"0":
                return True
            now = time.perf_counter()
            if now - self._shown >= PROGRESS_INTERVAL:
                self._show()
            if self._adapt(self._slowest - round_trip):
                self._cancel.wait(now - before)
        return False

    def _time_ping(self, talk: Conversation) -> float:
        talk.ask_each([("PING",)])
        return talk.waited

    def _dbsize(self, talk: Conversation) -> int:
        # Only for the progress; a user without DBSIZE sees none.
        reply = talk.ask_each([("DBSIZE",)])[0]
        return reply if isinstance(reply, int) else 0

    def _adapt(self, server_seconds: float) -> bool:
        """Set the next page by the longest wait for one command; True when a rest is due.

        No other client is served while Redis executes one of these commands. When they take long
        in spite of small pages, the server is short of CPU time, and only resting gives it back.
        """
        if server_seconds > LONG:
            self._page = max(SMALLEST_PAGE, self._page // 2)
            return True
        if server_seconds < SHORT:
            largest = FIRST_PAGE if self._gentle else LARGEST_PAGE
            self._page = min(largest, self._page + self._page // 4)
        return self._gentle

    def _handle(self, talk: Conversation, keys: list[bytes]) -> bool:
        """Delete one page of keys; False when cancelled before all were handed over."""
        if not self.pattern.startswith(OWN_PREFIX):
            free = [key for key in keys if not is_protected(key, self.pattern)]
            self._protected += len(keys) - len(free)
            keys = free
        self._matched += len(keys)
        size = UNLINK_CHUNK if self._verb == "UNLINK" else DEL_CHUNK
        for start in range(0, len(keys), size):
            if self._cancel.is_set():
                return False
            chunk = keys[start : start + size]
            self._unanswered = len(chunk)
            self._delete(talk, chunk)
            self._slowest = max(self._slowest, talk.waited)
            self._unanswered = 0
        return True

    def _delete(self, talk: Conversation, keys: list[bytes]) -> None:
        import redis

        if self._singly:
            self._delete_singly(talk, keys)
            return
        try:
            self._deleted += talk.ask(self._verb, *keys)
        except redis.exceptions.NoPermissionError:
            # One key that is not the user's refuses the whole command.
            self._delete_singly(talk, keys)
        except redis.ResponseError as error:
            # Older clients have no exception of its own for CROSSSLOT, newer ones drop the word.
            if "same slot" not in str(error):
                raise
            self._singly = True
            self._delete_singly(talk, keys)

    def _delete_singly(self, talk: Conversation, keys: list[bytes]) -> None:
        """Delete with one command per key, all sent at once, and count those refused."""
        import redis

        for start in range(0, len(keys), DEL_CHUNK):
            chunk = keys[start : start + DEL_CHUNK]
            refused: redis.ResponseError | None = None
            for reply in talk.ask_each((self._verb, key) for key in chunk):
                if isinstance(reply, redis.exceptions.NoPermissionError):
                    self._denied += 1
                elif isinstance(reply, redis.ResponseError):
                    refused = reply
                else:
                    self._deleted += reply
            if refused is not None:
                raise refused

    def _show(self) -> None:
        self._shown = time.perf_counter()
        if self._progress is not None:
            self._progress(
                Progress(
                    scanned=min(self._scanned, self._total) if self._total else self._scanned,
                    total=self._total,
                    matched=self._matched,
                    deleted=self._deleted,
                    denied=self._denied,
                    protected=self._protected,
                    seconds=self._shown - self._start,
                    page=self._page,
                )
            )


def _replica(talk: Conversation) -> str:
    """Say whose replica this is, as far as the user may know."""
    reply: Any = talk.ask_each([("ROLE",)])[0]
    if isinstance(reply, list) and len(reply) > 2 and reply[0] == b"slave":
        primary = f"{reply[1].decode('utf-8', 'backslashreplace')}:{int(reply[2])}"
        return f"this server is a read-only replica of {primary}; invalidate there"
    return "this server is a read-only replica; invalidate on its primary"
