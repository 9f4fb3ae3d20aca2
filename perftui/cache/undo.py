"""Putting deleted keys back from their journal, with value, type and expiry.

What has been written since wins: nothing is ever overwritten.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from perftui.cache.audit import AUDIT_KEY, record_audit
from perftui.cache.conversation import CancelledError, Conversation
from perftui.cache.server_identity import identity, version_numbers
from perftui.cache.topology import Primary, Topology, topology
from perftui.cache.undo_journal import LIFETIME, NO_EXPIRY, Deleted, Journal, JournalError

if TYPE_CHECKING:
    import redis

CHUNK = 200
CHUNK_BYTES = 500_000
PROGRESS_INTERVAL = 0.1
SLOW = 0.005
"""Seconds for one batch above which other clients get half of that time for themselves."""


class UndoResult(msgspec.Struct, frozen=True):
    """What was put back.

    `newer` keys exist again and were left alone, `expired` ones would have ended meanwhile,
    `denied` are not this user's, `failed` could not be read by the server. `unanswered` were sent
    without an answer. `truncated`: the journal ends in the middle of a key. `complete`: all of the
    journal was gone through. `error` and `audit_error` are empty when all is well.
    """

    id: str
    pattern: bytes
    restored: int
    newer: int
    expired: int
    denied: int
    failed: int
    unanswered: int
    seconds: float
    complete: bool
    cancelled: bool
    truncated: bool
    error: str
    audit_error: str = ""


class Undo:
    """One journal, put back once; then it is removed, unless something could not be restored."""

    def __init__(self, client: redis.Redis, journal: Journal, audit_as: str = "") -> None:
        self._client = client
        self._journal = journal
        self._audit_as = audit_as
        self._cancel = threading.Event()
        self._restored = self._newer = self._expired = self._denied = self._failed = 0
        self._unanswered = 0
        self._shown = 0.0
        self._refusal = ""
        self._progress: Callable[[int], None] | None = None

    def cancel(self) -> None:
        """Stop after the batch under way; what is restored stays. From any thread."""
        self._cancel.set()

    def run(self, progress: Callable[[int], None] | None = None) -> UndoResult:
        """Restore, calling `progress` with the number of keys restored; never raises for Redis."""
        import redis

        self._progress = progress
        start = time.perf_counter()
        where: Topology | None = None
        complete, error = False, ""
        try:
            where = topology(self._client, self._cancel)
            check_origin(self._journal, self._client, where, self._cancel)
            self._restore_all(where)
            complete = not self._cancel.is_set()
        except CancelledError:
            complete = False
        except JournalError as refusal:
            error = str(refusal)
        except (redis.RedisError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        error = error or self._refusal
        if complete and not (error or self._denied or self._failed):
            self._journal.remove()
        seconds = time.perf_counter() - start
        audit_error = self._audit(where, complete)
        if where is not None:
            where.close()
        return UndoResult(
            id=self._journal.header.id,
            pattern=self._journal.header.pattern,
            restored=self._restored,
            newer=self._newer,
            expired=self._expired,
            denied=self._denied,
            failed=self._failed,
            unanswered=self._unanswered,
            seconds=seconds,
            complete=complete,
            cancelled=self._cancel.is_set() and not complete,
            truncated=self._journal.truncated,
            error=error,
            audit_error=audit_error,
        )

    def _restore_all(self, where: Topology) -> None:
        conversations: dict[int, Conversation] = {}
        try:
            for number, primary in enumerate(where.primaries):
                conversations[number] = Conversation(primary.client, self._cancel)
            offset = _clock_offset(conversations[0])
            for batch in _batches(self._journal.deleted()):
                if self._cancel.is_set():
                    return
                self._restore(where, conversations, batch, int(time.time() * 1000 + offset))
                if self._refusal:
                    return
                self._show()
        finally:
            for talk in conversations.values():
                talk.close(broken=bool(self._unanswered))

    def _restore(
        self,
        where: Topology,
        conversations: dict[int, Conversation],
        batch: list[Deleted],
        now: int,
    ) -> None:
        """Restore a batch, each key on the server that owns it; `now` is in milliseconds."""
        living = [one for one in batch if one.expires_at == NO_EXPIRY or one.expires_at > now]
        self._expired += len(batch) - len(living)
        owners: dict[Primary, list[Deleted]] = {}
        for one in living:
            owners.setdefault(where.owner(one.key), []).append(one)
        for number, primary in enumerate(where.primaries):
            mine = owners.get(primary, [])
            if not mine:
                continue
            talk = conversations[number]
            self._unanswered = len(mine)
            replies = talk.ask_each(_restore_command(one) for one in mine)
            self._unanswered = 0
            for reply in replies:
                self._count(reply)
            if talk.waited > SLOW:
                self._cancel.wait(talk.waited / 2)

    def _count(self, reply: Any) -> None:
        import redis

        if not isinstance(reply, Exception):
            self._restored += 1
        elif isinstance(reply, redis.exceptions.NoPermissionError):
            self._denied += 1
        elif "already exists" in str(reply) or "BUSYKEY" in str(reply):
            self._newer += 1
        elif "payload" in str(reply).lower() or "Bad data format" in str(reply):
            self._failed += 1
        else:
            # Out of memory, read-only, moved: the next key would fare no better.
            self._failed += 1
            self._refusal = self._refusal or str(reply)

    def _audit(self, where: Topology | None, complete: bool) -> str:
        if not self._audit_as:
            return ""
        return record_audit(
            self._client if where is None else where.owner(AUDIT_KEY.encode()).client,
            who=self._audit_as,
            action="undo",
            pattern=self._journal.header.pattern,
            matched=self._restored + self._newer + self._expired + self._denied + self._failed,
            deleted=self._restored,
            denied=self._denied,
            complete=complete,
        )

    def _show(self) -> None:
        now = time.perf_counter()
        if self._progress is not None and now - self._shown >= PROGRESS_INTERVAL:
            self._shown = now
            self._progress(self._restored)


def check_origin(
    journal: Journal, client: redis.Redis, where: Topology, cancelled: threading.Event
) -> None:
    """Raise JournalError when this is not where the keys came from, or too late.

    Raises redis.ConnectionError or redis.TimeoutError when a server is gone.
    """
    header = journal.header
    if not 0 <= journal.age <= LIFETIME:
        raise JournalError(f"the journal is older than {LIFETIME / 60:g} minutes")
    db = int(client.connection_pool.connection_kwargs.get("db") or 0)
    if db != header.db:
        raise JournalError(f"the keys are from database {header.db}, this is {db}")
    for primary in where.primaries:
        found = identity(primary.client, cancelled)
        if found.run_id not in header.servers:
            raise JournalError(
                f"{primary.address} is another server than the keys came from, or was "
                "restarted since"
            )
        if version_numbers(found.version) < version_numbers(header.version):
            raise JournalError(
                f"the keys are from version {header.version}, {primary.address} is "
                f"{found.version} and cannot read them"
            )


def _restore_command(one: Deleted) -> tuple[bytes | str | int, ...]:
    if one.expires_at == NO_EXPIRY:
        return ("RESTORE", one.key, 0, one.dump)
    return ("RESTORE", one.key, one.expires_at, one.dump, "ABSTTL")


def _batches(keys: Iterator[Deleted]) -> Iterator[list[Deleted]]:
    batch: list[Deleted] = []
    size = 0
    for one in keys:
        batch.append(one)
        size += len(one.dump)
        if len(batch) >= CHUNK or size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _clock_offset(talk: Conversation) -> float:
    """Return by how many milliseconds the clock of the server is ahead of the one here."""
    seconds, micros = talk.ask("TIME")
    return int(seconds) * 1000 + int(micros) / 1000 - time.time() * 1000
