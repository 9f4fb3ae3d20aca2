"""What is known of an invalidation before its first key goes: is it allowed, can it be undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perftui.cache.capture import outlook, probe
from perftui.cache.conversation import Conversation
from perftui.cache.deletion import Deleter, RefusedError, Tally
from perftui.cache.dry_run import DryRunResult
from perftui.cache.estimate import Estimate
from perftui.cache.glob import literal
from perftui.cache.pacing import Pacing
from perftui.cache.topology import Primary, Topology, topology
from perftui.cache.undo_journal import room_problem

if TYPE_CHECKING:
    import redis


def estimate_of(result: DryRunResult) -> Estimate:
    """Return what a dry run found, exact when it was complete."""
    return Estimate(
        matched=result.matched,
        protected=result.protected,
        scanned=result.scanned,
        dbsize=result.scanned,
        exact=result.complete,
        samples=result.samples,
        seconds=result.seconds,
    )


def deletion_refusal(
    client: redis.Redis, pattern: bytes, cancelled: threading.Event | None = None
) -> str:
    """Return why nothing can be deleted, such as a replica or the user's rights; empty when it can.

    Tried with a key that does not exist. Raises redis.RedisError when the server is gone.
    """
    cancelled = cancelled or threading.Event()
    with _owners(client, pattern, cancelled) as (where, owners):
        for primary in owners:
            with Conversation(primary.client, cancelled) as talk:
                tried = Deleter(talk, Tally(), Pacing(False), cancelled, where.clustered)
                try:
                    tried.prepare(pattern)
                except RefusedError as refusal:
                    return f"{primary.address}: {refusal}" if where.clustered else str(refusal)
    return ""


def undo_outlook(
    client: redis.Redis,
    pattern: bytes,
    found: Estimate,
    cancelled: threading.Event | None = None,
) -> str:
    """Return why the keys could not be put back afterwards, or not all; empty when they could.

    Costs three look-ups that miss on each server. Raises redis.RedisError when one is gone.
    """
    cancelled = cancelled or threading.Event()
    sizes: list[int] = []
    with _owners(client, pattern, cancelled) as (where, owners):
        for primary in owners:
            with Conversation(primary.client, cancelled) as talk:
                capture = probe(talk, pattern)
                if capture.refused:
                    return f"{capture.refused}; {capture.fix}" if capture.fix else capture.refused
                mine = [key for key in found.samples if where.owner(key) == primary]
                replies = talk.ask_each(("MEMORY", "USAGE", key) for key in mine)
                sizes += [reply for reply in replies if isinstance(reply, int)]
        problem = outlook(found, capture, sizes)
    return problem or room_problem()


@contextmanager
def _owners(
    client: redis.Redis, pattern: bytes, cancelled: threading.Event
) -> Iterator[tuple[Topology, tuple[Primary, ...]]]:
    """Give the servers that may hold matching keys."""
    where = topology(client, cancelled)
    try:
        key = literal(pattern)
        yield where, where.primaries if key is None else (where.owner(key),)
    finally:
        where.close()
