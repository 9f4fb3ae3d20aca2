"""Undoing deletions for the screen: what can be put back, and putting it back, on threads."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from perftui.cache.audit import operator
from perftui.cache.topology import topology
from perftui.cache.undo import Undo, UndoResult, check_origin
from perftui.cache.undo_journal import LIFETIME, Journal, JournalError, journals
from perftui.sources.redis.connection import connect, failure
from perftui.sources.redis.target import RedisTarget
from perftui.tui.jobs import Job
from perftui.tui.run_slot import RunSlot

TIMEOUT = 5.0
"""Seconds for one command; a batch takes milliseconds, a server in trouble takes longer."""
CHECK_TIMEOUT = 1.0
"""Seconds for each answer while deletions are only listed."""
SAMPLES = 20
NOT_ASKED = "the server has not answered yet"


@dataclass(frozen=True)
class KeptDeletion:
    """A deletion whose keys are kept; `created` and `until` are Unix time, `size` is on disk.

    `refused` says why this server does not get them back, empty when it may.
    """

    id: str
    path: Path
    pattern: bytes
    who: str
    address: str
    db: int
    created: float
    until: float
    keys: int
    size: int
    truncated: bool
    samples: tuple[bytes, ...]
    refused: str


Kept = tuple[KeptDeletion, ...]


@dataclass(frozen=True)
class Listing:
    """A listing under way: its job, and what is known before the server has answered."""

    job: Job[Kept]
    latest: RunSlot[Kept]


@dataclass(frozen=True)
class Undoing:
    """An undo under way: its job and how far it is."""

    job: Job[UndoResult]
    latest: RunSlot[int]


class UndoJobs:
    """Lists what can be put back into the Redis of one URL, and puts it back."""

    def __init__(self, url: str) -> None:
        self._target = RedisTarget.parse(url)
        self._lock = threading.Lock()
        self._read: dict[tuple[str, int], tuple[int, bool, tuple[bytes, ...]]] = {}

    @property
    def address(self) -> str:
        """Where the keys are put back, without secrets."""
        return self._target.address

    @cached_property
    def who(self) -> str:
        """The name under which an undo is written down."""
        return operator()

    def listing(self) -> Listing:
        """Start to list the deletions of the last ten minutes, the newest first.

        The journals on disk are known at once, what the server says to them a little later.
        """
        slot: RunSlot[Kept] = RunSlot()

        def work() -> Kept:
            found: list[tuple[Journal, KeptDeletion]] = []
            for journal in journals():
                # Another perftui may just have put it back.
                with contextlib.suppress(OSError):
                    found.append((journal, self._kept(journal)))
            slot.put(tuple(kept for _, kept in found))
            return self._checked(found)

        return Listing(Job(work), slot)

    def undo(self, kept: KeptDeletion) -> Undoing:
        """Start to put keys back; written to the audit stream at the end."""
        slot: RunSlot[int] = RunSlot()
        client = connect(self._target, TIMEOUT)
        cancelled = threading.Event()
        runs: list[Undo] = []

        def cancel() -> None:
            cancelled.set()
            for run in runs:
                run.cancel()

        def work() -> UndoResult:
            with client:
                try:
                    journal = Journal(kept.path)
                except FileNotFoundError:
                    raise JournalError(
                        "its keys are kept no longer: they were put back, or their time is over"
                    ) from None
                run = Undo(client, journal, self.who)
                runs.append(run)
                if cancelled.is_set():
                    run.cancel()
                return run.run(slot.put)

        return Undoing(Job(work, cancel), slot)

    def _kept(self, journal: Journal) -> KeptDeletion:
        """Return what a journal holds; each is read once, however often it is listed."""
        header = journal.header
        size = journal.size
        with self._lock:
            known = self._read.get((header.id, size))
        if known is None:
            keys = 0
            samples: list[bytes] = []
            for one in journal.deleted():
                keys += 1
                if len(samples) < SAMPLES:
                    samples.append(one.key)
            known = keys, journal.truncated, tuple(sorted(samples))
            with self._lock:
                self._read[header.id, size] = known
        keys, truncated, first = known
        return KeptDeletion(
            id=header.id,
            path=journal.path,
            pattern=header.pattern,
            who=header.who,
            address=header.address,
            db=header.db,
            created=header.created,
            until=header.created + LIFETIME,
            keys=keys,
            size=size,
            truncated=truncated,
            samples=first,
            refused=NOT_ASKED,
        )

    def _checked(self, found: list[tuple[Journal, KeptDeletion]]) -> Kept:
        """Return the deletions with what the server says to each."""
        import redis

        if not found:
            return ()
        never = threading.Event()
        checked: list[KeptDeletion] = []
        try:
            with connect(self._target, CHECK_TIMEOUT) as client:
                where = topology(client, never)
                try:
                    for journal, kept in found:
                        refused = ""
                        try:
                            check_origin(journal, client, where, never)
                        except JournalError as refusal:
                            refused = str(refusal)
                        checked.append(replace(kept, refused=refused))
                finally:
                    where.close()
        except (redis.RedisError, OSError) as error:
            reason = failure(error, self._target, CHECK_TIMEOUT).absent.reason
            return tuple(replace(kept, refused=reason) for _, kept in found)
        return tuple(checked)
