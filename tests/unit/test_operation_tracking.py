"""track(): blocks and functions of every kind, failures, cancellations, nesting."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from perftui import ExecutionMetrics
from perftui.metrics import tracking
from perftui.metrics.tracking import Tracker

PAUSE = 0.03


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=None)


def outcome(metrics: ExecutionMetrics, operation: str = "x") -> tuple[int, int, int]:
    """Return successes, failures and cancellations."""
    counts = metrics.counts().get(operation)
    if counts is None:
        return 0, 0, 0
    return counts.count - counts.failures, counts.failures, counts.cancelled


def lasted(metrics: ExecutionMetrics, operation: str = "x") -> float:
    return metrics.counts()[operation].seconds


def test_a_block_is_measured(metrics: ExecutionMetrics) -> None:
    with metrics.track("x"):
        time.sleep(PAUSE)
    assert outcome(metrics) == (1, 0, 0)
    assert PAUSE <= lasted(metrics) < 5


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, TimeoutError])
def test_an_exception_that_leaves_is_a_failure(
    metrics: ExecutionMetrics, error: type[BaseException]
) -> None:
    with pytest.raises(error), metrics.track("x"):
        raise error
    assert outcome(metrics) == (0, 1, 0)


def test_an_exception_that_stays_inside_is_none(metrics: ExecutionMetrics) -> None:
    with metrics.track("x"), suppress(LookupError):
        raise LookupError
    assert outcome(metrics) == (1, 0, 0)


def test_what_trio_and_gevent_raise_to_call_work_off_is_a_cancellation(
    metrics: ExecutionMetrics,
) -> None:
    class Cancelled(BaseException):
        pass

    with pytest.raises(Cancelled), metrics.track("x"):
        raise Cancelled
    assert outcome(metrics) == (0, 0, 1)


def test_what_cannot_be_counted_is_logged_once_and_harms_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def record_execution(self, operation: str, duration: float, success: bool) -> None:
            raise OSError("no space left")

        def record_cancellation(self, operation: str) -> None:
            raise OSError("no space left")

    monkeypatch.setattr(tracking, "_told_of_loss", False)
    tracker = Tracker(Full(), "x")
    assert tracker(lambda: 5)() == 5
    with pytest.raises(LookupError), tracker:
        raise LookupError
    with pytest.raises(GeneratorExit), tracker:
        raise GeneratorExit
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "no space left" in caplog.text


def test_a_cancelled_future_is_a_cancellation(metrics: ExecutionMetrics) -> None:
    future: Future[None] = Future()
    future.cancel()
    with pytest.raises(CancelledError), metrics.track("x"):
        future.result()
    assert outcome(metrics) == (0, 0, 1)


async def test_async_blocks_and_functions(metrics: ExecutionMetrics) -> None:
    @metrics.track("x")
    async def work(error: type[Exception] | None = None) -> int:
        await asyncio.sleep(PAUSE)
        if error is not None:
            raise error
        return 5

    assert inspect.iscoroutinefunction(work)
    unawaited = work()
    assert outcome(metrics) == (0, 0, 0)
    assert await unawaited == 5
    assert lasted(metrics) >= PAUSE * 0.9
    with pytest.raises(LookupError):
        await work(LookupError)
    async with metrics.track("x"):
        await asyncio.sleep(0)
    assert outcome(metrics) == (2, 1, 0)


async def test_a_cancelled_task_is_a_cancellation(metrics: ExecutionMetrics) -> None:
    tracker = metrics.track("x")

    async def block() -> None:
        async with tracker:
            await asyncio.sleep(60)

    for work in (block, tracker(functools.partial(asyncio.sleep, 60))):
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await block()
    assert outcome(metrics) == (0, 0, 3)
    assert lasted(metrics) == 0


def test_a_function_keeps_its_identity_and_result(metrics: ExecutionMetrics) -> None:
    @metrics.track("x")
    def add(left: int, right: int = 2) -> int:
        """Add."""
        return left + right

    assert add(1, right=5) == 6
    assert add.__name__ == "add"
    assert add.__doc__ == "Add."
    assert list(inspect.signature(add).parameters) == ["left", "right"]
    with pytest.raises(TypeError):
        add()  # type: ignore[call-arg]
    assert outcome(metrics) == (1, 1, 0)


def test_methods_of_every_kind(metrics: ExecutionMetrics) -> None:
    class Shop:
        @metrics.track("x")
        def sell(self) -> Any:
            return self

        @metrics.track("x")
        @staticmethod
        def price(amount: int) -> int:
            return amount

        @staticmethod
        @metrics.track("x")
        def tax(amount: int) -> int:
            return amount

        @metrics.track("x")
        @classmethod
        def open(cls) -> Any:
            return cls

    shop = Shop()
    assert shop.sell() is shop
    assert shop.price(3) == Shop.price(3) == 3
    assert shop.tax(3) == 3
    assert Shop.open() is Shop
    assert outcome(metrics) == (5, 0, 0)


async def test_an_object_with_an_async_call(metrics: ExecutionMetrics) -> None:
    class Handler:
        async def __call__(self) -> None:
            await asyncio.sleep(PAUSE)

    await metrics.track("x")(Handler())()
    assert lasted(metrics) >= PAUSE * 0.9


@pytest.mark.parametrize("wrong", [int, 5, property(lambda self: 1)])
def test_what_cannot_be_measured_is_refused(metrics: ExecutionMetrics, wrong: Any) -> None:
    with pytest.raises(TypeError, match="functions and blocks"):
        metrics.track("x")(wrong)


# Generators


def test_a_generator_is_measured_to_its_end(metrics: ExecutionMetrics) -> None:
    @metrics.track("x")
    def numbers() -> Generator[int, str, str]:
        got = yield 1
        try:
            yield len(got)
        except KeyError:
            yield 3
        return "end"

    assert inspect.isgeneratorfunction(numbers)
    steps = numbers()
    assert next(steps) == 1
    assert steps.send("four") == 4
    assert steps.throw(KeyError()) == 3
    assert outcome(metrics) == (0, 0, 0)
    time.sleep(PAUSE)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "end"
    assert outcome(metrics) == (1, 0, 0)
    assert lasted(metrics) >= PAUSE


def test_a_generator_that_raises_fails_and_a_closed_one_is_cancelled(
    metrics: ExecutionMetrics,
) -> None:
    @metrics.track("x")
    def numbers() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        list(numbers())
    closed = numbers()
    next(closed)
    closed.close()  # type: ignore[attr-defined]
    never_begun = numbers()
    del never_begun
    assert outcome(metrics) == (0, 1, 1)


async def test_an_async_generator_passes_everything_on(metrics: ExecutionMetrics) -> None:
    cleaned = []

    @metrics.track("x")
    async def numbers() -> AsyncGenerator[Any, Any]:
        try:
            got = yield 1
            try:
                yield got
            except KeyError:
                yield "caught"
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    assert inspect.isasyncgenfunction(numbers)
    steps = numbers()
    assert await anext(steps) == 1
    assert await steps.asend("sent") == "sent"
    assert await steps.athrow(KeyError()) == "caught"
    with pytest.raises(StopAsyncIteration):
        await anext(steps)
    assert outcome(metrics) == (1, 0, 0)

    failing = numbers()
    await anext(failing)
    with pytest.raises(ValueError, match="thrown"):
        await failing.athrow(ValueError("thrown"))
    assert outcome(metrics) == (1, 1, 0)

    closed = numbers()
    await anext(closed)
    await closed.aclose()
    assert outcome(metrics) == (1, 1, 1)
    assert len(cleaned) == 3
    assert [item async for item in numbers()] == [1, None]


async def test_a_context_manager_function_can_be_measured(metrics: ExecutionMetrics) -> None:
    @asynccontextmanager
    @metrics.track("x")
    async def session() -> AsyncGenerator[int]:
        yield 7

    async with session() as value:
        assert value == 7
    with pytest.raises(LookupError):
        async with session():
            raise LookupError
    assert outcome(metrics) == (1, 1, 0)


# One tracker, many calls


def test_a_tracker_nests_in_itself(metrics: ExecutionMetrics) -> None:
    tracker = metrics.track("x")
    with tracker:
        with tracker:
            time.sleep(PAUSE)
        with pytest.raises(LookupError), tracker:
            raise LookupError
    assert outcome(metrics) == (2, 1, 0)
    assert lasted(metrics) >= 2 * PAUSE


def test_a_recursive_function(metrics: ExecutionMetrics) -> None:
    @metrics.track("x")
    def depth(number: int) -> int:
        return 0 if number == 0 else 1 + depth(number - 1)

    assert depth(20) == 20
    assert outcome(metrics) == (21, 0, 0)


def test_leaving_what_was_not_entered_is_an_error(metrics: ExecutionMetrics) -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        metrics.track("x").__exit__(None, None, None)


def test_the_decorator_is_typed(metrics: ExecutionMetrics) -> None:
    @metrics.track("x")
    async def load(key: str) -> int:
        return len(key)

    typed: Callable[[str], Awaitable[int]] = load
    assert asyncio.run(typed("four")) == 4  # type: ignore[arg-type]
