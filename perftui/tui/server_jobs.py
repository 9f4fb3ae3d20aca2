"""Changes to servers, carried out beside the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from perftui.pool_changes import Change, Outcome
from perftui.tui.jobs import Job

Answers: TypeAlias = tuple[tuple[Change, tuple[Outcome, ...]], ...]
"""What came of each change."""

Carry: TypeAlias = Callable[[Sequence[Change]], Job[Answers]]


class ServerJobs:
    """Carries out changes in the pools of one Redis and behind any HAProxy."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url

    def carry_out(self, changes: Sequence[Change]) -> Job[Answers]:
        """Begin to change servers; one pool after the other, at most 5 s for each."""
        todo = tuple(changes)

        def work() -> Answers:
            from perftui.pool_changes import apply

            return tuple((change, apply(change, self._redis_url)) for change in todo)

        return Job(work)
