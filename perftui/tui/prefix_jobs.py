"""Sampling of prefixes for the screen, on a thread of its own against Redis."""

from __future__ import annotations

from dataclasses import dataclass

from perftui.cache.prefixes import PrefixSamples, PrefixSampling
from perftui.sources.redis.connection import connect, failure
from perftui.sources.redis.target import RedisTarget
from perftui.tui.jobs import Job
from perftui.tui.run_slot import RunSlot

TIMEOUT = 5.0
"""Seconds for one command; a page takes milliseconds, a server in trouble takes longer."""


@dataclass(frozen=True)
class Sampling:
    """A sampling under way: its job and the keys seen and wanted so far."""

    job: Job[PrefixSamples]
    latest: RunSlot[tuple[int, int]]


def sample_prefixes(url: str) -> Sampling:
    """Start to sample which prefixes have the most keys and take the most memory."""
    import redis

    target = RedisTarget.parse(url)
    slot: RunSlot[tuple[int, int]] = RunSlot()
    client = connect(target, TIMEOUT)
    run = PrefixSampling(client)

    def work() -> PrefixSamples:
        with client:
            try:
                # The run tells its own failures without the address and the way out of them.
                client.ping()
            except (redis.RedisError, OSError) as error:
                raise failure(error, target, TIMEOUT) from error
            return run.run(lambda seen, wanted: slot.put((seen, wanted)))

    return Sampling(Job(work, run.cancel), slot)
