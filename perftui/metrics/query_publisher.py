"""Makes what is reported of a QueryOptimizer, now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perftui.queries import wire

if TYPE_CHECKING:
    from perftui.metrics.redis_wire import Command
    from perftui.queries.optimizer import QueryOptimizer

FIRST_AFTER = 4.0
BUDGET = 0.001
"""Share of a core that putting it together may cost; a longer one makes the next one later."""


class QueryPublisher:
    """Hands over what a process observed, every 30 s; used by one thread at a time.

    The first comes soon, and between two of them nothing is done.
    """

    def __init__(self, optimizer: QueryOptimizer) -> None:
        self._optimizer = optimizer
        self._due = time.monotonic() + FIRST_AFTER
        self._calls = 0

    def after_fork(self) -> None:
        """Forget what the parent observed: it reports that itself."""
        self._optimizer.log.after_fork()
        self._due = time.monotonic() + FIRST_AFTER
        self._calls = 0

    def commands(self, service: str, instance: str, now: float, *, ended: bool) -> list[Command]:
        """Return what to send at a moment of the clock of Redis, often nothing."""
        moment = time.monotonic()
        if moment < self._due and not ended:
            return []
        used = time.thread_time()
        evidence = self._optimizer.evidence()
        calls = sum(shape.calls for shape in evidence.shapes) + evidence.other
        self._due = moment + wire.INTERVAL
        if calls == self._calls:
            return []
        report = wire.QueryReport(
            service=service,
            instance=instance,
            time=now,
            window=self._optimizer.window,
            evidence=evidence,
            catalogue=self._optimizer.catalogue,
        )
        payload = wire.encode(report)
        self._calls = calls
        self._due = moment + max(wire.INTERVAL, (time.thread_time() - used) / BUDGET)
        return [
            ("SET", wire.query_key(service, instance), payload, "EX", wire.EXPIRY),
            ("ZADD", wire.INDEX_KEY, f"{now:.3f}", f"{service}/{instance}"),
            ("ZREMRANGEBYSCORE", wire.INDEX_KEY, 0, f"{now - wire.EXPIRY:.0f}"),
            ("EXPIRE", wire.INDEX_KEY, wire.EXPIRY),
        ]
