"""track(): one tracker in many threads, tasks and contexts at once."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from perftui import ExecutionMetrics


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=None)


def finished(metrics: ExecutionMetrics) -> int:
    """Return how many calls there were, of which none failed or was cancelled."""
    counts = metrics.counts()["x"]
    assert (counts.failures, counts.cancelled) == (0, 0)
    return counts.count


OVERLAPPING = [(0.0, 0.35), (0.3, 0.35)]
"""Start and length in seconds of two calls of which the first to begin is the first to end."""


async def test_tasks_that_share_a_tracker_keep_their_own_times() -> None:
    metrics = ExecutionMetrics(registry=None, buckets=[0.2, 0.5])
    tracker = metrics.track("x")

    async def work(start: float, length: float) -> None:
        await asyncio.sleep(start)
        async with tracker:
            await asyncio.sleep(length)

    with tracker:
        await asyncio.gather(*(work(*call) for call in OVERLAPPING))
    assert metrics.counts()["x"].buckets == (0, 2, 1)


def test_threads_that_share_a_tracker_keep_their_own_times() -> None:
    metrics = ExecutionMetrics(registry=None, buckets=[0.2, 0.5])
    tracker = metrics.track("x")

    def work(start: float, length: float) -> None:
        time.sleep(start)
        with tracker:
            time.sleep(length)

    threads = [threading.Thread(target=work, args=call) for call in OVERLAPPING]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.counts()["x"].buckets == (0, 2, 0)


def test_a_block_may_end_in_another_context(metrics: ExecutionMetrics) -> None:
    """As a generator with a block in it that a thread pool steps through."""
    tracker = metrics.track("x")

    def steps() -> Iterator[None]:
        with tracker:
            yield

    for _ in range(3):
        stepped = steps()
        contextvars.copy_context().run(next, stepped)
        assert list(contextvars.copy_context().run(list, stepped)) == []
    assert finished(metrics) == 3


def test_blocks_of_many_threads_may_end_in_other_contexts_at_once(
    metrics: ExecutionMetrics,
) -> None:
    """As answers that Starlette streams from generators which share a tracker."""
    tracker = metrics.track("x")
    faults: list[BaseException] = []
    rounds, end = [0] * 8, time.monotonic() + 1

    def steps() -> Iterator[None]:
        with tracker:
            yield

    def work(number: int) -> None:
        try:
            while time.monotonic() < end:
                stepped = steps()
                contextvars.copy_context().run(next, stepped)
                contextvars.copy_context().run(list, stepped)
                rounds[number] += 1
        except BaseException as error:
            faults.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(rounds))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert faults == []
    assert finished(metrics) == sum(rounds)


def test_contexts_do_not_pile_up_blocks_that_ended_elsewhere(metrics: ExecutionMetrics) -> None:
    tracker = metrics.track("x")
    for _ in range(100):
        tracker.__enter__()
        contextvars.copy_context().run(tracker.__exit__, None, None, None)
    assert chain_length() == 1
    with tracker:
        pass
    assert finished(metrics) == 101
    assert chain_length() == 0


def chain_length() -> int:
    from perftui.metrics.tracking import _innermost

    length, block = 0, _innermost.get()
    while block is not None:
        length, block = length + 1, block.outer
    return length
