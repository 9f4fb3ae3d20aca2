"""Invalidation and undo jobs that stand still where a picture is taken of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sample import NOW

from perftui.cache.estimate import Estimate
from perftui.cache.invalidation import InvalidationResult, Kept, Progress
from perftui.cache.undo import UndoResult
from perftui.tui.invalidation_jobs import (
    Counted,
    Counting,
    Deletion,
    Outcome,
    Preparation,
    ProgressSlot,
)
from perftui.tui.run_slot import RunSlot
from perftui.tui.undo_jobs import KeptDeletion, Listing, Undoing

SAMPLES = (
    b"user:\x1b[31m\xff:profile",
    *(f"user:{number}:profile".encode() for number in range(19)),
)
FOUND = Estimate(48_210, 2, 10_000, 120_431, False, SAMPLES, 0.0123)
EXACT = Estimate(48_113, 2, 120_431, 120_431, True, SAMPLES, 0.214)
NOT_UNDONE = "this user may not run RESTORE; ACL SETUSER USER +restore"
PROGRESS = Progress(61_000, 120_431, 24_398, 24_390, 8, 2, 0.82, 1250, 0.0014, 1)
KEPT = Kept("20261123T140000-0a1b2c3d", "/x", 48_100, 5_200_000, 10, 3)
RESULT = InvalidationResult(
    b"user:*", 48_113, 48_105, 8, 2, 0, 1.31, True, False, "", told=8, p99=0.0019, slowed=1,
    kept=KEPT, notes=("went slower once: other clients waited more than 5 ms",),
)  # fmt: skip
FAILED = InvalidationResult(
    b"user:*", 900, 400, 0, 0, 500, 6.2, False, False,
    "Connection closed by server.", audit_error="no audit entry was written: no answer within 1 s",
    notes=("not to be undone: this user may not run RESTORE",),
)  # fmt: skip
UNDONE = UndoResult(
    KEPT.id, b"user:*", 48_020, 61, 17, 2, 0, 0, 0.91, True, False, False, ""
)  # fmt: skip


class Still:
    """A job that is done, or never will be."""

    def __init__(self, result: Any = None, error: str = "") -> None:
        self.result = result
        self.error = error
        self.done = result is not None or bool(error)
        self.paces: list[str] = []

    def cancel(self) -> None:
        """Stay as it is."""

    def set_pace(self, pace: str) -> None:
        """Remember what was wished."""
        self.paces.append(pace)


def still_slot(slot: Any, *said: Any, silence: float = 0.0) -> Any:
    """Return a slot that heard these things, so many seconds ago."""
    now = [0.0]
    made = slot(lambda: now[0])
    for one in said:
        made.put(one)
    now[0] = silence
    return made


class StillInvalidation:
    """Stands for InvalidationJobs; a job without a result stays under way."""

    address = "cache-1.example:6379"
    who = "ann"

    def __init__(
        self,
        found: Any = FOUND,
        known: Preparation | None = None,
        outcome: Outcome | None = None,
        error: str = "",
        silence: float = 0.0,
    ) -> None:
        self.run = Still()
        self.undo = StillUndo()
        self._found, self._known, self._outcome = found, known, outcome
        self._error = error
        self._silence = silence

    def estimate(self, pattern: str) -> Any:
        return Still(self._found, self._error)

    def prepare(self, pattern: str, found: Estimate, pace: str, *, count: bool) -> Any:
        slot = still_slot(RunSlot, Counted(61_000, 120_431, 24_398), silence=self._silence)
        return Counting(Still(self._known), slot, self.run)  # type: ignore[arg-type]

    def delete(self, pattern: str, pace: str, *, keep: bool) -> Any:
        slot = still_slot(
            ProgressSlot,
            Progress(1000, 120_431, 400, 400, 0, 0, 0.02, 500),
            PROGRESS,
            silence=self._silence,
        )
        return Deletion(Still(self._outcome), slot, self.run)  # type: ignore[arg-type]


def kept(number: int, **other: Any) -> KeptDeletion:
    """Return a deletion that was made `number` minutes ago."""
    created = NOW - 60.0 * number - 7
    fields: dict[str, Any] = {
        "id": f"journal-{number}", "path": Path("/x"), "pattern": b"user:*", "who": "ann",
        "address": "cache-1.example:6379", "db": 0, "created": created, "until": created + 600,
        "keys": 48_100, "size": 5_200_000, "truncated": False, "samples": SAMPLES, "refused": "",
    }  # fmt: skip
    return KeptDeletion(**(fields | other))


DELETIONS = (
    kept(1),
    kept(3, pattern=b"order:2026-11-2?:\xff" + b"x" * 80, keys=1, size=212, who="bob"),
    kept(
        8,
        address="cache-2.example:6379",
        keys=310,
        refused="cache-1.example:6379 is another server than the keys came from, or was restarted "
        "since",
    ),
)


class StillUndo:
    """Stands for UndoJobs."""

    address = "cache-1.example:6379"
    who = "ann"

    def __init__(
        self, found: tuple[KeptDeletion, ...] = DELETIONS, result: UndoResult | None = None
    ) -> None:
        self._found, self._result = found, result

    def listing(self) -> Any:
        return Listing(Still(self._found), still_slot(RunSlot, self._found))  # type: ignore[arg-type]

    def undo(self, one: KeptDeletion) -> Any:
        return Undoing(Still(self._result), still_slot(RunSlot, 21_400))  # type: ignore[arg-type]
