"""Deleting all keys that match a glob pattern while other clients hardly notice.

SCAN in pages whose size follows the time the server needs for one and what another client waits,
UNLINK in chunks, nothing that Redis executes in one piece for more than a few milliseconds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from perftui.cache.announcement import Announcement
from perftui.cache.audit import AUDIT_KEY, operator, record_audit
from perftui.cache.capture import Capture, probe
from perftui.cache.conversation import CancelledError, Conversation
from perftui.cache.deletion import Deleter, RefusedError, Tally
from perftui.cache.estimate import Estimate, estimate
from perftui.cache.glob import literal
from perftui.cache.invalidation_result import InvalidationResult, Kept, Progress
from perftui.cache.latency_guard import LatencyGuard
from perftui.cache.pacing import Coverage, Pacing, pages
from perftui.cache.protection import OWN_PREFIX, is_protected
from perftui.cache.server_identity import identity, identity_of, version_numbers
from perftui.cache.topology import Primary, Topology, topology
from perftui.cache.undo_journal import JournalWriter

if TYPE_CHECKING:
    import redis

__all__ = [
    "Estimate",
    "Invalidation",
    "InvalidationResult",
    "Kept",
    "Progress",
    "estimate",
]

PROGRESS_INTERVAL = 0.1
ROUNDS = 3
"""Times that a cluster is gone through while slots move from one server to another."""


class Invalidation:
    """One run over one server, or over all primaries of the cluster that it is a node of.

    `client` is any redis.Redis, also one that decodes its replies. Pace `normal` goes as fast as
    other clients' latency allows, `gentle` rests as long as it worked. With `audit_as`, the name of
    the user, an entry is written to the audit stream. With `keep`, deleted keys go into a journal
    in `journals` (see undo_journal) as far as its limits and the user's rights allow. The pattern
    message goes to every prefix that it concerns, and to `prefix` in any case. Raises ValueError
    for an empty pattern.
    """

    def __init__(
        self,
        client: redis.Redis,
        pattern: bytes | str,
        pace: Literal["normal", "gentle"] = "normal",
        audit_as: str = "",
        *,
        keep: bool = False,
        journals: Path | None = None,
        prefix: bytes | None = None,
        action: Literal["invalidate", "delete"] = "invalidate",
    ) -> None:
        self.pattern = pattern.encode() if isinstance(pattern, str) else pattern
        if not self.pattern:
            raise ValueError("an empty pattern matches no key")
        if pace not in ("normal", "gentle"):
            raise ValueError(f"pace is normal or gentle, not {pace!r}")
        self._client = client
        self._audit_as = audit_as
        self._action = action
        self._keep = keep
        self._journals = journals
        self._journal: JournalWriter | None = None
        self._cancel = threading.Event()
        self._pacing = Pacing(pace == "gentle")
        self._guard: LatencyGuard | None = None
        self._p99: float | None = None
        self._announcement = Announcement(self.pattern, audit_as or operator(), prefix)
        self._announced = False
        self._refused = False
        self._told = 0
        self._tally = Tally()
        self._scanned = self._total = 0
        self._notes: dict[str, None] = {}
        self._start = 0.0
        self._shown = 0.0
        self._progress: Callable[[Progress], None] | None = None

    def cancel(self) -> None:
        """Stop after the batch under way; may be called from any thread, takes at most 0.2 s."""
        self._cancel.set()

    def set_pace(self, pace: Literal["normal", "gentle"]) -> None:
        """Go on at another pace; may be called from any thread."""
        self._pacing.gentle = pace == "gentle"

    def run(self, progress: Callable[[Progress], None] | None = None) -> InvalidationResult:
        """Delete, calling `progress` some ten times a second; never raises for Redis' sake.

        Keys that are written during the run may stay. A second run goes on counting.
        """
        self._progress = progress
        self._start = time.perf_counter()
        where: Topology | None = None
        complete, error = False, ""
        try:
            where = topology(self._client, self._cancel)
            complete, error, where = self._rounds(where)
        except CancelledError:
            complete = False
        except Exception as failure:
            error = _said(failure)
        finally:
            kept = self._finish_journal()
        self._show()
        seconds = time.perf_counter() - self._start
        audit_error = self._audit(where, complete)
        if where is not None:
            where.close()
        return self._result(complete, error, seconds, kept, audit_error)

    def _rounds(self, where: Topology) -> tuple[bool, str, Topology]:
        """Go through all primaries, again while slots move between them."""
        for _ in range(ROUNDS):
            self._tally.moved = 0
            complete = True
            errors: list[str] = []
            for primary in self._owners(where):
                try:
                    complete = self._sweep(primary, where) and complete
                except CancelledError:
                    return False, "; ".join(errors), where
                except Exception as failure:
                    complete = False
                    self._refused = isinstance(failure, RefusedError)
                    said = _said(failure)
                    errors.append(f"{primary.address}: {said}" if where.clustered else said)
            if self._announced and not errors:
                # What was loaded while keys went may be old: it has to go too.
                with contextlib.suppress(CancelledError):
                    self._publish(where)
            if not where.clustered or self._cancel.is_set() or errors:
                break
            now = topology(self._client, self._cancel)
            settled = now == where and not self._tally.moved
            where.close()
            where = now
            if settled:
                break
            complete = False
            errors = ["slots of the cluster are moving; run it again when they have"]
        if self._tally.moved and not where.clustered:
            complete = False
            errors.append("this is one node of a cluster: ACL SETUSER USER +cluster|slots")
        return complete, "; ".join(errors), where

    def _owners(self, where: Topology) -> tuple[Primary, ...]:
        key = literal(self.pattern)
        return where.primaries if key is None else (where.owner(key),)

    def _sweep(self, primary: Primary, where: Topology) -> bool:
        """Delete what matches on one server; True when its whole keyspace was seen."""
        with Conversation(primary.client, self._cancel) as talk:
            deleter = Deleter(talk, self._tally, self._pacing, self._cancel, where.clustered)
            verb = deleter.prepare(self.pattern)
            if self._keep:
                deleter.keep(*self._kept_by(talk, primary, where, verb))
            if not self._announced:
                self._announced = True
                self._publish(where)
            key = literal(self.pattern)
            if key is not None:
                return self._handle(deleter, [key])
            self._guard = LatencyGuard(primary.client)
            self._guard.start()
            try:
                self._pacing.begin(talk, self._guard)
                size = talk.ask_each([("DBSIZE",)])[0]
                # Only for the progress; a user without DBSIZE sees none.
                self._total += size if isinstance(size, int) else 0
                return self._pages(talk, deleter)
            finally:
                self._watched(self._guard)

    def _pages(self, talk: Conversation, deleter: Deleter) -> bool:
        coverage = Coverage()
        before = self._scanned
        for keys in pages(talk, self.pattern, self._pacing, self._cancel, coverage):
            self._scanned = before + coverage.scanned
            if not self._handle(deleter, keys):
                return False
            if time.perf_counter() - self._shown >= PROGRESS_INTERVAL:
                self._show()
        return coverage.complete

    def _handle(self, deleter: Deleter, keys: list[bytes]) -> bool:
        """Delete one page of keys; False when cancelled before all were handed over."""
        if not self.pattern.startswith(OWN_PREFIX):
            free = [key for key in keys if not is_protected(key, self.pattern)]
            self._tally.protected += len(keys) - len(free)
            keys = free
        self._tally.matched += len(keys)
        return deleter.delete(keys)

    def _kept_by(
        self, talk: Conversation, primary: Primary, where: Topology, verb: str
    ) -> tuple[JournalWriter | None, Capture]:
        """Return the journal for one server, None when its keys cannot be put back."""
        capture = probe(talk, self.pattern, verb)
        self._tally.lookups += 3
        if capture.refused:
            self._notes[f"not to be undone: {capture.refused}"] = None
            return None, capture
        if self._journal is None:
            found = [
                identity_of(talk) if one is primary else identity(one.client, self._cancel)
                for one in where.primaries
            ]
            options = primary.client.connection_pool.connection_kwargs
            self._journal = JournalWriter(
                address=where.primaries[0].address,
                db=int(options.get("db") or 0),
                servers=tuple(one.run_id for one in found),
                version=max((one.version for one in found), key=version_numbers),
                pattern=self.pattern,
                who=self._audit_as or operator(),
                where=self._journals,
            )
        return self._journal, capture

    def _publish(self, where: Topology) -> None:
        import redis

        try:
            self._announcement.publish(where, self._cancel)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            # Keys that go are reported one by one; a server that is gone the next command tells.
            self._notes[f"memory tiers were not told at once: {error}"] = None
            return
        self._told = max(self._told, self._announcement.receivers)
        if self._announcement.problem:
            self._notes[self._announcement.problem] = None

    def _watched(self, guard: LatencyGuard) -> None:
        guard.stop()
        if guard.problem:
            self._notes[f"the latency of other clients was not watched: {guard.problem}"] = None
        self._p99 = max((one for one in (self._p99, guard.p99) if one is not None), default=None)
        self._guard = None

    def _finish_journal(self) -> Kept | None:
        journal, self._journal = self._journal, None
        if journal is None:
            return None
        try:
            journal.close()
        except OSError as error:
            self._notes[f"the undo journal may be incomplete: {error.strerror}"] = None
        tally = self._tally
        if not journal.keys:
            if tally.too_large:
                self._notes["not to be undone: every key was larger than 1 MB"] = None
            return None
        return Kept(
            id=journal.header.id,
            path=str(journal.path),
            keys=journal.keys,
            size=journal.size,
            not_kept=tally.not_kept,
            too_large=tally.too_large,
        )

    def _audit(self, where: Topology | None, complete: bool) -> str:
        if not self._audit_as or (self._refused and not self._tally.matched):
            return ""
        return record_audit(
            self._client if where is None else where.owner(AUDIT_KEY.encode()).client,
            who=self._audit_as,
            action=self._action,
            pattern=self.pattern,
            matched=self._tally.matched,
            deleted=self._tally.deleted,
            denied=self._tally.denied,
            complete=complete,
        )

    def _result(
        self, complete: bool, error: str, seconds: float, kept: Kept | None, audit_error: str
    ) -> InvalidationResult:
        if self._pacing.slowed:
            times = "once" if self._pacing.slowed == 1 else f"{self._pacing.slowed} times"
            self._notes[f"went slower {times}: other clients waited more than 5 ms"] = None
        tally = self._tally
        return InvalidationResult(
            pattern=self.pattern,
            matched=tally.matched,
            deleted=tally.deleted,
            denied=tally.denied,
            protected=tally.protected,
            unanswered=tally.unanswered,
            seconds=seconds,
            complete=complete,
            cancelled=self._cancel.is_set() and not complete,
            error=error,
            audit_error=audit_error,
            told=self._told,
            p99=self._p99,
            slowed=self._pacing.slowed,
            lookups=tally.lookups,
            kept=kept,
            notes=tuple(self._notes),
        )

    def _show(self) -> None:
        self._shown = time.perf_counter()
        if self._progress is None:
            return
        guard = self._guard
        self._progress(
            Progress(
                scanned=min(self._scanned, self._total) if self._total else self._scanned,
                total=self._total,
                matched=self._tally.matched,
                deleted=self._tally.deleted,
                denied=self._tally.denied,
                protected=self._tally.protected,
                seconds=self._shown - self._start,
                page=self._pacing.page,
                p99=guard.p99 if guard is not None else self._p99,
                slowed=self._pacing.slowed,
            )
        )


def _said(failure: Exception) -> str:
    """Return an error of Redis or of the journal in words; anything else is a fault: raise it."""
    import redis

    if isinstance(failure, redis.exceptions.NoPermissionError):
        return f"{failure}; allow it with ACL SETUSER"
    if isinstance(failure, redis.RedisError | RefusedError):
        return str(failure) or type(failure).__name__
    if isinstance(failure, OSError):
        name = f"{failure.filename}: " if failure.filename else ""
        return f"{name}{failure.strerror or failure}"
    raise failure
