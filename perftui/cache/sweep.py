"""An invalidation by pattern beside an event loop: on a thread, until the caller cancels."""

from __future__ import annotations

import asyncio

from perftui.cache.config import CacheConfig
from perftui.cache.connections import sync_client
from perftui.cache.invalidation import Invalidation, InvalidationResult

CANCEL_SECONDS = 0.5


async def sweep(config: CacheConfig, glob: bytes, by: str) -> InvalidationResult:
    """Delete all keys that match, telling all memory tiers before and after.

    Cancelling it waits 0.5 s at most for the batch under way.
    """
    client = sync_client(config)
    run = Invalidation(client, glob, audit_as=by, prefix=config.prefix)

    def work() -> InvalidationResult:
        try:
            return run.run()
        finally:
            client.close()

    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        run.cancel()
        await asyncio.wait([task], timeout=CANCEL_SECONDS)
        raise


def plain_result(
    pattern: bytes, deleted: int, denied: int, seconds: float, error: str
) -> InvalidationResult:
    """Return what deleting without a sweep did."""
    return InvalidationResult(
        pattern=pattern,
        matched=deleted + denied,
        deleted=deleted,
        denied=denied,
        protected=0,
        unanswered=0,
        seconds=seconds,
        complete=not error,
        cancelled=False,
        error=error,
    )
