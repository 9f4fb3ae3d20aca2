"""Tells a pool that its servers do not suffice, once however many balancers see it."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perftui.pool.registry import PoolRegistry

RENEWED_EVERY = 10.0
"""Seconds; a balancer that is silent for three of these, since it died, is not counted."""


class PanicNews:
    """What one balancer has told of its panic."""

    def __init__(self) -> None:
        self._told = False
        self._told_at = 0.0
        self._pid = 0
        self._name = ""

    async def tell(self, registry: PoolRegistry, panic: bool, below: float, live: int) -> None:
        """Tell a change, and go on telling a panic while it lasts; raises PoolError.

        `below`: the share of well servers that is a panic.
        """
        now = time.monotonic()
        if self._pid != os.getpid():
            self._pid, self._name, self._told = os.getpid(), uuid.uuid4().hex, False
        if panic == self._told and not (panic and now - self._told_at >= RENEWED_EVERY):
            return
        reason = (
            f"fewer than {below:.0%} of {live} servers are below the thresholds, all are used"
            if panic
            else f"enough of {live} servers are below the thresholds again"
        )
        await registry.tell_panic(self._name, panic, reason)
        self._told, self._told_at = panic, now
