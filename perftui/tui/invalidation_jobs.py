"""Invalidation for the screen: each step runs on a thread of its own against Redis."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass, replace

from perftui.cache.invalidation import (
    Estimate,
    Invalidation,
    InvalidationResult,
    Progress,
    estimate,
    record_audit,
)
from perftui.cache.pattern_text import pattern_bytes
from perftui.sources.redis_connection import RedisTarget, connect, failure
from perftui.sources.source import SourceError
from perftui.tui.jobs import Job

TYPED_COUNT_LIMIT = 10_000
TIMEOUT = 5.0
"""Seconds for one command; a batch takes milliseconds, a server in trouble takes longer."""


@dataclass(frozen=True)
class Running:
    """A deletion under way: its job and the newest progress."""

    job: Job[InvalidationResult]
    latest: ProgressSlot


class ProgressSlot:
    """Holds the newest progress of a deletion."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def put(self, progress: Progress) -> None:
        """Replace the progress; called on the job's thread."""
        self.progress = progress


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
            return self._target.host or socket.gethostname()
        return str(found.matched)

    def estimate(self, pattern: str) -> Job[Estimate]:
        """Start to estimate how many keys match."""
        wanted = pattern_bytes(pattern)

        def work() -> Estimate:
            try:
                with connect(self._target, TIMEOUT) as client:
                    return estimate(client, wanted)
            except Exception as error:
                raise self._clear(error) from error

        return Job(work)

    def delete(self, pattern: str) -> Running:
        """Start to delete every matching key; written to the audit stream at the end."""
        wanted = pattern_bytes(pattern)
        slot = ProgressSlot()
        cancelled: list[bool] = []
        runs: list[Invalidation] = []

        def cancel() -> None:
            cancelled.append(True)
            for run in runs:
                run.cancel()

        def work() -> InvalidationResult:
            try:
                with connect(self._target, TIMEOUT) as client:
                    run = Invalidation(client, wanted)
                    runs.append(run)
                    if cancelled:
                        run.cancel()
                    result = run.run(slot.put)
                    problem = record_audit(
                        client,
                        who=_user(),
                        host=socket.gethostname(),
                        action="invalidate",
                        pattern=wanted,
                        result=result,
                    )
                    return replace_error(result, problem)
            except Exception as error:
                raise self._clear(error) from error

        return Running(Job(work, cancel), slot)

    def _clear(self, error: Exception) -> Exception:
        if isinstance(error, (SourceError, ValueError)):
            return error
        return failure(error, self._target)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
