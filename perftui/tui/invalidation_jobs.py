"""Invalidation for the screen: each step runs on a thread of its own against Redis."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from perftui.cache.audit import operator
from perftui.cache.invalidation import (
    Estimate,
    Invalidation,
    InvalidationResult,
    Progress,
    estimate,
)
from perftui.cache.typed_pattern import pattern_bytes
from perftui.sources.redis.connection import connect, failure
from perftui.sources.redis.target import RedisTarget
from perftui.tui.jobs import Job

__all__ = ["Deletion", "InvalidationJobs", "ProgressSlot", "pattern_bytes"]

TYPED_COUNT_LIMIT = 10_000
TIMEOUT = 5.0
"""Seconds for one command; a batch takes milliseconds, a server in trouble takes longer."""


class ProgressSlot:
    """Holds the newest progress of a deletion."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def put(self, progress: Progress) -> None:
        """Replace the progress; called on the job's thread."""
        self.progress = progress


@dataclass(frozen=True)
class Deletion:
    """A deletion under way: its job and the newest progress."""

    job: Job[InvalidationResult]
    latest: ProgressSlot


class InvalidationJobs:
    """Starts estimates and deletions on the Redis of one URL."""

    def __init__(self, url: str) -> None:
        self._target = RedisTarget.parse(url)

    @property
    def address(self) -> str:
        """Where the keys are deleted, without secrets."""
        return self._target.address

    def confirmation(self, pattern: str, found: Estimate) -> str:
        """Return the word that must be typed: the count, or the host when very much would go."""
        if found.matched > TYPED_COUNT_LIMIT or set(pattern) <= {"*", "?"}:
            return socket.gethostname() if self._target.scheme == "unix" else self._target.host
        return str(found.matched)

    def estimate(self, pattern: str) -> Job[Estimate]:
        """Start to estimate how many keys match."""
        wanted = pattern_bytes(pattern)

        def work() -> Estimate:
            try:
                with connect(self._target, TIMEOUT) as client:
                    return estimate(client, wanted)
            except Exception as error:
                raise failure(error, self._target) from error

        return Job(work)

    def delete(self, pattern: str) -> Deletion:
        """Start to delete every matching key; written to the audit stream at the end."""
        slot = ProgressSlot()
        client = connect(self._target, TIMEOUT)
        run = Invalidation(client, pattern_bytes(pattern), audit_as=operator())

        def work() -> InvalidationResult:
            with client:
                return run.run(slot.put)

        return Deletion(Job(work, run.cancel), slot)
