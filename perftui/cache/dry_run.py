"""What an invalidation would delete, counted exactly and without deleting anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from perftui.cache.conversation import CancelledError, Conversation
from perftui.cache.glob import literal
from perftui.cache.latency_guard import LatencyGuard
from perftui.cache.pacing import Coverage, Pacing, pages
from perftui.cache.protection import is_protected
from perftui.cache.topology import Primary, topology

if TYPE_CHECKING:
    import redis

SAMPLES = 20
PROGRESS_INTERVAL = 0.1


class DryRunResult(msgspec.Struct, frozen=True):
    """Keys that match; `protected` are those of perftui itself, which would stay.

    Exact once `complete`, apart from keys that are written meanwhile and those that SCAN names
    twice, which it may do while Redis resizes its table. `error` is empty when all is well.
    """

    pattern: bytes
    matched: int
    protected: int
    scanned: int
    samples: tuple[bytes, ...]
    seconds: float
    complete: bool
    cancelled: bool
    error: str


class DryRun:
    """Looks at all keys at the pace of an invalidation; counts neither as hit nor as miss."""

    def __init__(
        self,
        client: redis.Redis,
        pattern: bytes | str,
        pace: Literal["normal", "gentle"] = "normal",
    ) -> None:
        self.pattern = pattern.encode() if isinstance(pattern, str) else pattern
        if not self.pattern:
            raise ValueError("an empty pattern matches no key")
        self._client = client
        self._cancel = threading.Event()
        self._pacing = Pacing(pace == "gentle")
        self._matched = self._protected = self._scanned = self._total = 0
        self._samples: list[bytes] = []
        self._shown = 0.0
        self._progress: Callable[[int, int, int], None] | None = None

    def cancel(self) -> None:
        """Stop after the page under way; from any thread."""
        self._cancel.set()

    def set_pace(self, pace: Literal["normal", "gentle"]) -> None:
        """Go on at another pace; may be called from any thread."""
        self._pacing.gentle = pace == "gentle"

    def run(self, progress: Callable[[int, int, int], None] | None = None) -> DryRunResult:
        """Count, calling `progress` with the keys seen, about how many there are, and matches.

        Never raises for Redis' sake.
        """
        import redis

        self._progress = progress
        start = time.perf_counter()
        complete, error = False, ""
        try:
            where = topology(self._client, self._cancel)
            try:
                key = literal(self.pattern)
                owners = where.primaries if key is None else (where.owner(key),)
                complete = all(self._count(primary, key) for primary in owners)
            finally:
                where.close()
        except CancelledError:
            complete = False
        except (redis.RedisError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        return DryRunResult(
            pattern=self.pattern,
            matched=self._matched,
            protected=self._protected,
            scanned=min(self._scanned, self._total) if self._total else self._scanned,
            samples=tuple(sorted(self._samples)),
            seconds=time.perf_counter() - start,
            complete=complete,
            cancelled=self._cancel.is_set() and not complete,
            error=error,
        )

    def _count(self, primary: Primary, key: bytes | None) -> bool:
        with Conversation(primary.client, self._cancel) as talk:
            if key is not None:
                # MEMORY USAGE is the one question about a key that does not count as a look-up.
                there = talk.ask("MEMORY", "USAGE", key, "SAMPLES", 1) is not None
                self._scanned += 1
                self._take([key] if there else [])
                return True
            guard = LatencyGuard(primary.client)
            guard.start()
            try:
                self._pacing.begin(talk, guard)
                size = talk.ask_each([("DBSIZE",)])[0]
                self._total += size if isinstance(size, int) else 0
                coverage = Coverage()
                before = self._scanned
                for keys in pages(talk, self.pattern, self._pacing, self._cancel, coverage):
                    self._scanned = before + coverage.scanned
                    self._take(keys)
                return coverage.complete
            finally:
                guard.stop()

    def _take(self, keys: list[bytes]) -> None:
        for key in keys:
            if is_protected(key, self.pattern):
                self._protected += 1
            else:
                self._matched += 1
                # The order of the keyspace is that of a hash, so the first ones are a fair sample.
                if len(self._samples) < SAMPLES:
                    self._samples.append(key)
        now = time.perf_counter()
        if self._progress is not None and now - self._shown >= PROGRESS_INTERVAL:
            self._shown = now
            self._progress(min(self._scanned, self._total), self._total, self._matched)
