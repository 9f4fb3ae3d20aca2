"""Invalidation for the screen: each step runs on a thread of its own against Redis."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from perftui.cache.audit import operator
from perftui.cache.conversation import CancelledError
from perftui.cache.dry_run import DryRun
from perftui.cache.forecast import deletion_refusal, estimate_of, undo_outlook
from perftui.cache.invalidation import (
    Estimate,
    Invalidation,
    InvalidationResult,
    Progress,
    estimate,
)
from perftui.cache.typed_pattern import pattern_bytes
from perftui.cache.undo_journal import LIFETIME, Journal, JournalError
from perftui.confirmation import confirmation_word
from perftui.sources.redis.connection import connect, failure
from perftui.sources.redis.target import RedisTarget
from perftui.tui.jobs import Job
from perftui.tui.run_slot import RunSlot
from perftui.tui.undo_jobs import UndoJobs

if TYPE_CHECKING:
    import redis

__all__ = [
    "Counting",
    "Deletion",
    "InvalidationJobs",
    "Outcome",
    "Preparation",
    "ProgressSlot",
    "pattern_bytes",
]

T = TypeVar("T")

Pace = Literal["normal", "gentle"]

TIMEOUT = 5.0
"""Seconds for one command; a batch takes milliseconds, a server in trouble takes longer."""
SPEED_WINDOW = 2.0
"""Seconds over which the speed of a deletion is taken."""


class Paced(Protocol):
    """A run whose pace can be changed while it is under way."""

    def set_pace(self, pace: Pace) -> None: ...


class ProgressSlot(RunSlot[Progress]):
    """Holds the newest progress of a deletion and how fast it has been lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._recent: deque[tuple[float, int, int]] = deque(maxlen=100)

    def put(self, said: Progress) -> None:
        """Replace the progress; called on the job's thread."""
        recent = self._recent
        recent.append((said.seconds, said.deleted, said.scanned))
        while len(recent) > 2 and said.seconds - recent[0][0] > SPEED_WINDOW:
            recent.popleft()
        super().put(said)

    @property
    def speeds(self) -> tuple[float, float]:
        """Keys deleted and keys looked at a second, of the last two seconds."""
        recent = tuple(self._recent)
        first = recent[0] if len(recent) > 1 else (0.0, 0, 0)
        last = recent[-1] if recent else first
        seconds = last[0] - first[0]
        if seconds <= 0:
            return 0.0, 0.0
        return (last[1] - first[1]) / seconds, (last[2] - first[2]) / seconds


@dataclass(frozen=True)
class Counted:
    """How far an exact count is: keys looked at, about how many there are, and matches."""

    scanned: int
    total: int
    matched: int


@dataclass(frozen=True)
class Preparation:
    """What is known before the confirmation; `found.exact` tells whether all was counted.

    `refused` says why nothing can be deleted, `not_undone` why it could not be put back, or not
    all of it; both are empty when nothing stands against it. `word` has to be typed.
    """

    found: Estimate
    refused: str
    not_undone: str
    word: str


@dataclass(frozen=True)
class Counting:
    """A preparation under way: its job, how far it is, and its pace."""

    job: Job[Preparation]
    latest: RunSlot[Counted]
    run: Paced


@dataclass(frozen=True)
class Outcome:
    """What a deletion did; `undo_until` is Unix time, 0 where nothing can be put back."""

    result: InvalidationResult
    undo_until: float


@dataclass(frozen=True)
class Deletion:
    """A deletion under way: its job, the newest progress, and its pace."""

    job: Job[Outcome]
    latest: ProgressSlot
    run: Paced


class InvalidationJobs:
    """Starts estimates, counts and deletions on the Redis of one URL."""

    def __init__(self, url: str) -> None:
        self._target = RedisTarget.parse(url)
        self.undo = UndoJobs(url)

    @property
    def address(self) -> str:
        """Where the keys are deleted, without secrets."""
        return self._target.address

    @cached_property
    def who(self) -> str:
        """The name under which a deletion is written down."""
        return operator()

    def estimate(self, pattern: str) -> Job[Estimate]:
        """Start to estimate how many keys match.

        Raises ValueError for an empty pattern.
        """
        wanted = pattern_bytes(pattern)
        return Job(lambda: self._asked(lambda client: estimate(client, wanted)))

    def prepare(self, pattern: str, found: Estimate, pace: Pace, *, count: bool) -> Counting:
        """Start to find out what must be known before deleting, without deleting.

        With `count` all matching keys are counted first, unless the estimate is exact already. A
        cancelled job ends without a result.
        """
        wanted = pattern_bytes(pattern)
        slot: RunSlot[Counted] = RunSlot()
        client = connect(self._target, TIMEOUT)
        run = DryRun(client, wanted, pace)
        cancelled = threading.Event()

        def cancel() -> None:
            cancelled.set()
            run.cancel()

        def told(scanned: int, total: int, matched: int) -> None:
            slot.put(Counted(scanned, total, matched))

        def work(client: redis.Redis) -> Preparation:
            known = found
            if count and not found.exact:
                counted = run.run(told)
                if counted.error:
                    raise AskError(counted.error)
                if not counted.complete:
                    raise CancelledError
                known = estimate_of(counted)
            refused = deletion_refusal(client, wanted, cancelled)
            not_undone = "" if refused else undo_outlook(client, wanted, known, cancelled)
            word = confirmation_word(wanted, known.matched if known.exact else None, self._target)
            return Preparation(known, refused, not_undone, word)

        return Counting(Job(lambda: self._asked(work, client), cancel), slot, run)

    def delete(self, pattern: str, pace: Pace = "normal", *, keep: bool = True) -> Deletion:
        """Start to delete every matching key; written to the audit stream at the end.

        With `keep` the deleted keys go into an undo journal as far as its limits allow.
        """
        slot = ProgressSlot()
        client = connect(self._target, TIMEOUT)
        run = Invalidation(client, pattern_bytes(pattern), pace, self.who, keep=keep)

        def work() -> Outcome:
            with client:
                result = run.run(slot.put)
            return Outcome(result, _undo_until(result))

        return Deletion(Job(work, run.cancel), slot, run)

    def _asked(self, work: Callable[[redis.Redis], T], client: redis.Redis | None = None) -> T:
        """Return what Redis says; every way in which it can fail becomes one sentence."""
        try:
            with client or connect(self._target, TIMEOUT) as client:
                return work(client)
        except (AskError, CancelledError):
            raise
        except Exception as error:
            absent = failure(error, self._target, TIMEOUT).absent
            fix = f"; {absent.fix}" if absent.fix else ""
            raise AskError(f"{absent.reason}{fix}") from error


class AskError(Exception):
    """Redis refused or did not answer; the message says why and what helps."""


def _undo_until(result: InvalidationResult) -> float:
    if result.kept is None:
        return 0.0
    try:
        return Journal(Path(result.kept.path)).header.created + LIFETIME
    except (JournalError, OSError):
        return 0.0
