"""Looking through the keys of a Redis for the screen: each step runs on a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from perftui.cache.audit import operator
from perftui.cache.conversation import CancelledError
from perftui.cache.glob import escape
from perftui.cache.invalidation import Invalidation, InvalidationResult
from perftui.cache.key_details import KeyDetails, read_details
from perftui.cache.key_listing import KeyListing, ListedKey
from perftui.cache.preview import Preview, preview
from perftui.cache.topology import Topology, topology
from perftui.snapshot import Absent, Maybe, State
from perftui.sources.redis.connection import connect, failure
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget
from perftui.tui.jobs import Job

if TYPE_CHECKING:
    from pathlib import Path

    import redis

T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds for one command; a server in trouble takes longer than one that is well."""
PAGE = 200
"""Keys that are found and measured at once."""
MOST_KEYS = 100_000
"""Keys that are kept; each takes some 300 bytes here."""
NO_REDIS = Absent(
    State.NOT_COLLECTED, "no Redis is configured", "start with --redis URL, or set REDIS_URL"
)


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is: keys found, about how many were passed, of how many (0: not known).

    `full`: there may be more, but no more are kept. `refused` is why sizes are missing.
    """

    found: int = 0
    scanned: int = 0
    total: int = 0
    done: bool = False
    full: bool = False
    refused: str = ""


class KeySearch:
    """Finds the keys that match a pattern, some at a time; used by the screen's thread.

    `problem` is why the last step failed; the next one goes on where it stopped.
    """

    def __init__(self, browsing: KeyBrowsing, pattern: bytes) -> None:
        self.pattern = pattern
        self._browsing = browsing
        self._lock = threading.Lock()
        self._listing: KeyListing | None = None
        self._cancelled = False
        self._fresh: list[ListedKey] = []
        self._seen: set[bytes] = set()
        self._progress = SearchProgress()
        self._job: Job[Absent | None] | None = None

    @property
    def progress(self) -> SearchProgress:
        """How far it is."""
        with self._lock:
            return self._progress

    @property
    def running(self) -> bool:
        """Whether keys are being looked for now."""
        return self._job is not None and not self._job.done

    @property
    def cancelled(self) -> bool:
        """Whether the last step was broken off."""
        return self._cancelled

    @property
    def problem(self) -> Absent | None:
        """Why the last step failed."""
        job = self._job
        if job is None or not job.done:
            return None
        return Absent(State.UNAVAILABLE, job.error) if job.error else job.result

    def load(self, count: int) -> None:
        """Begin to find `count` more keys, unless it is under way or there are no more."""
        progress = self.progress
        if self.running or progress.done or progress.full:
            return
        self._cancelled = False
        wanted = min(progress.found + count, MOST_KEYS)
        self._job = Job(lambda: self._browsing.guarded(lambda client: self._work(client, wanted)))

    def take(self) -> list[ListedKey]:
        """Return the keys found since the last call."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        return fresh

    def cancel(self) -> None:
        """Break off the step under way; what is found stays."""
        self._cancelled = True
        with self._lock:
            listing = self._listing
        if listing is not None:
            listing.cancel()

    def _work(self, client: redis.Redis, wanted: int) -> None:
        with self._lock:
            if self._listing is None:
                self._listing = KeyListing(client, self.pattern)
            listing = self._listing
        listing.go_on()
        while not self._cancelled and not self._browsing.closed:
            start = time.perf_counter()
            try:
                # One at least: that is how it becomes known that there are no more.
                page = listing.next_page(min(PAGE, max(1, wanted - len(self._seen))))
            except CancelledError:
                return
            if page.hits or page.misses:
                self._browsing.count(page.hits, page.misses)
            # SCAN may name a key twice.
            fresh = [one for one in page.keys if one.key not in self._seen]
            self._seen.update(one.key for one in fresh)
            found = len(self._seen)
            with self._lock:
                self._fresh += fresh
                self._progress = SearchProgress(
                    found, page.scanned, page.total, page.done,
                    found >= MOST_KEYS and not page.done, self._progress.refused or page.refused,
                )  # fmt: skip
            if page.done or found >= wanted:
                return
            # As long for the other clients as for this one.
            self._browsing.rest(time.perf_counter() - start)

    def close(self) -> None:
        """Break it off and give back the connections to other nodes; on a thread of its own."""
        self.cancel()
        job, listing = self._job, self._listing
        if job is None:
            return

        def work() -> None:
            job.wait(2 * TIMEOUT)
            if listing is not None:
                listing.close()

        Job(work)


class KeyBrowsing:
    """Everything that the key browser asks of one Redis; an empty URL is no Redis.

    What the look-ups were counted as is taken out of the hit ratios. With `allowed` keys may be
    deleted; they go into a journal in `journals`.
    """

    def __init__(self, url: str, allowed: bool = False, journals: Path | None = None) -> None:
        self.url = url
        self.allowed = allowed
        self.absent: Absent | None = None
        self.lookups = 0
        self._journals = journals
        self._target = RedisTarget()
        if not url:
            self.absent = NO_REDIS
        else:
            try:
                self._target = RedisTarget.parse(url)
            except ValueError as error:
                self.absent = Absent(State.UNAVAILABLE, str(error), "correct the Redis URL")
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._users = 0
        self._where: Topology | None = None
        self._closed = threading.Event()

    @property
    def address(self) -> str:
        """Where the keys are, without secrets."""
        return "" if self.absent is not None else self._target.address

    @property
    def closed(self) -> bool:
        """Whether nobody looks any more."""
        return self._closed.is_set()

    def search(self, pattern: bytes) -> KeySearch:
        """Return a search, which does nothing before `load`."""
        return KeySearch(self, pattern)

    def details(self, keys: Sequence[bytes]) -> Job[Maybe[KeyDetails]]:
        """Begin to read type and expiry of some keys."""

        def work(client: redis.Redis) -> KeyDetails:
            found = read_details(self._topology(client), keys, self._closed)
            self.count(found.hits, found.misses)
            return found

        return Job(lambda: self._with_result(work))

    def preview(self, key: bytes) -> Job[Maybe[Preview]]:
        """Begin to read the beginning of a value."""
        cancelled = threading.Event()

        def work(client: redis.Redis) -> Preview:
            found = preview(self._topology(client), key, cancelled)
            self.count(found.hits, found.misses)
            return found

        return Job(lambda: self._with_result(work), cancelled.set)

    def delete(self, key: bytes) -> Job[Maybe[InvalidationResult]]:
        """Begin to delete one key, kept for undoing and written to the audit stream."""
        if not self.allowed:
            raise PermissionError("keys are only looked at here")

        def work(client: redis.Redis) -> InvalidationResult:
            run = Invalidation(
                client, escape(key), audit_as=operator(), keep=True, journals=self._journals,
                action="delete",
            )  # fmt: skip
            result = run.run()
            self.count(result.lookups, 0)
            return result

        return Job(lambda: self._with_result(work))

    def explained(self, refused: str) -> Absent:
        """Return what an error by which Redis refused a command means."""
        import redis

        return failure(redis.ResponseError(refused), self._target, TIMEOUT).absent

    def count(self, hits: int, misses: int) -> None:
        """Take look-ups out of the hit ratios of the monitor."""
        own_lookups(self._target).add(hits, misses)
        with self._lock:
            self.lookups += hits + misses

    def rest(self, seconds: float) -> None:
        """Wait, but not longer than anybody looks."""
        self._closed.wait(seconds)

    def guarded(self, work: Callable[[redis.Redis], None]) -> Absent | None:
        """Run a step; every way in which Redis can fail is returned in words."""
        result = self._with_result(lambda client: work(client))
        return result if isinstance(result, Absent) else None

    def close(self) -> None:
        """Break off what is under way; the connections go when the last thread has left them."""
        self._closed.set()
        with self._lock:
            if self._users:
                return
        self._drop()

    def _with_result(self, work: Callable[[redis.Redis], T]) -> Maybe[T]:
        import redis

        if self.absent is not None:
            return self.absent
        try:
            with self._use() as client:
                return work(client)
        except CancelledError:
            return Absent(State.NOT_COLLECTED, "it was cancelled")
        except (redis.RedisError, OSError) as error:
            with self._lock:
                # Slots may have moved, or the server may be another one when it is back.
                self._where = None
            return failure(error, self._target, TIMEOUT).absent

    @contextlib.contextmanager
    def _use(self) -> Iterator[redis.Redis]:
        with self._lock:
            if self._client is None:
                self._client = connect(self._target, TIMEOUT)
            client = self._client
            self._users += 1
        try:
            yield client
        finally:
            with self._lock:
                self._users -= 1
                last = not self._users and self.closed
            if last:
                self._drop()

    def _topology(self, client: redis.Redis) -> Topology:
        with self._lock:
            where = self._where
        if where is None:
            where = topology(client, self._closed)
            with self._lock:
                self._where = where
        return where

    def _drop(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            where, self._where = self._where, None
        if where is not None:
            where.close()
        if client is not None:
            client.close()
