"""CodeProfiler: its contract, what it counts, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from reporter_checks import wait_for

from perftui import CodeProfiler
from perftui.profiling.code_profile import CallTimes, CodeProfile
from perftui.profiling.profiler_errors import (
    AlreadyProfilingError,
    NotProfilingError,
    OtherProfilerError,
    ProfilerError,
)

PER_THREAD = sys.version_info < (3, 12)
"""Whether cProfile belongs to a thread and not to the process."""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert sys.getprofile() is None
    assert threading.getprofile() is None
    assert gc.isenabled()
    # Where the profiler is one of the process, this fails when one was left.
    left = cProfile.Profile()
    left.enable()
    left.disable()


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Keep the garbage collector from calling what others have hooked into it."""
    gc.disable()
    yield
    gc.enable()


def fib(number: int) -> int:
    return 1 if number < 2 else fib(number - 1) + fib(number - 2)


def sleep_a_little() -> None:
    time.sleep(0.02)


def work() -> int:
    sleep_a_little()
    return fib(7)


def row(profile: CodeProfile, function: str) -> CallTimes:
    (found,) = [call for call in profile["calls"] if call["function"] == function]
    return found


def names(profile: CodeProfile) -> set[str]:
    return {call["function"] for call in profile["calls"]}


def test_the_keys_that_were_promised() -> None:
    profiler = CodeProfiler()
    profiler.start_profiling()
    work()
    profile = profiler.stop_profiling()
    assert {"total_calls", "total_time", "calls"} <= set(profile)
    for call in profile["calls"]:
        assert {"function", "calls", "time"} <= set(call)
    assert [call["function"] for call in profile["calls"]] == [
        "work",
        "sleep_a_little",
        "<built-in method time.sleep>",
        "fib",
    ], "by time, falling, and nothing of the profiler itself"
    assert profile["functions"] == 4
    if threading.active_count() == 1:
        assert profile["note"] == ""
    # 41 calls of fib, one of each of the others; fib(7) calls itself 40 times.
    assert (profile["total_calls"], profile["primitive_calls"]) == (44, 4)
    assert profile["total_time"] == pytest.approx(row(profile, "work")["time"])
    assert profile["seconds"] >= profile["total_time"] >= 0.02


def test_calls_are_primitive_and_time_is_cumulative() -> None:
    profiler = CodeProfiler()
    with profiler:
        work()
    profile = profiler.result
    assert profile is not None
    recursive = row(profile, "fib")
    assert (recursive["calls"], recursive["total_calls"]) == (1, 41)
    assert (recursive["file"], recursive["line"]) == (__file__, fib.__code__.co_firstlineno)
    # Recursion counts once, so all of it is its own.
    assert recursive["time"] == pytest.approx(recursive["own_time"])
    outer, slept = row(profile, "work"), row(profile, "<built-in method time.sleep>")
    assert outer["time"] >= 0.02 > outer["own_time"]
    assert slept["own_time"] == slept["time"] >= 0.02
    assert (slept["file"], slept["line"]) == ("", 0)
    callers = {caller["function"]: caller for caller in recursive["callers"]}
    assert callers["work"]["calls"] == 1
    assert callers["work"]["file"] == __file__
    assert callers["work"]["time"] == pytest.approx(recursive["time"])
    assert [caller["function"] for caller in slept["callers"]] == ["sleep_a_little"]


def test_limit() -> None:
    profiler = CodeProfiler(limit=2)
    with profiler:
        work()
    assert profiler.result is not None
    assert [call["function"] for call in profiler.result["calls"]] == ["work", "sleep_a_little"]
    assert profiler.result["functions"] == 4
    for limit in (0, -1, True, 2.0, "10"):
        with pytest.raises(ValueError, match="limit"):
            CodeProfiler(limit=limit)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_collections")
def test_a_snapshot_leaves_it_running() -> None:
    profiler = CodeProfiler()
    profiler.start_profiling()
    assert profiler.snapshot()["calls"] == []
    counts = []
    for _ in range(3):
        work()
        counts.append(row(profiler.snapshot(), "work")["calls"])
    assert counts == [1, 2, 3]
    assert profiler.running
    assert "functions that still run do not show" in profiler.snapshot()["note"]
    work()
    profile = profiler.stop_profiling()
    assert row(profile, "work")["calls"] == 4
    mine = {"work", "sleep_a_little", "<built-in method time.sleep>", "fib"}
    # The rest is what this test asked in between, and nothing of the profiler's.
    assert names(profile) - mine == {
        "row",
        "row.<locals>.<listcomp>",
        "<method 'append' of 'list' objects>",
    } - (set() if PER_THREAD else {"row.<locals>.<listcomp>"})
    assert not profiler.running


def test_a_function_that_runs_shows_when_the_profiler_stops() -> None:
    profiler = CodeProfiler()

    def outer() -> None:
        work()
        seen.append(profiler.snapshot())
        seen.append(profiler.stop_profiling())

    seen: list[CodeProfile] = []
    profiler.start_profiling()
    outer()
    during, after = seen
    inside = f"{outer.__qualname__}"
    assert inside not in names(during)
    assert row(after, inside)["time"] >= row(after, "work")["time"]


def test_snapshots_from_another_thread_while_it_works() -> None:
    profiler = CodeProfiler(limit=1000)
    found: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            calls = [call for call in profiler.snapshot()["calls"] if call["function"] == "fib"]
            found.append(calls[0]["total_calls"] if calls else 0)

    profiler.start_profiling()
    thread = threading.Thread(target=look, name="perftui-look")
    thread.start()
    wait_for(lambda: (fib(12), max(found, default=0) > 5000)[1])
    done.set()
    thread.join()
    profile = profiler.stop_profiling()
    assert found == sorted(found)
    assert row(profile, "fib")["total_calls"] >= found[-1] > 0


def test_every_start_begins_anew() -> None:
    profiler = CodeProfiler()
    for _ in range(2):
        with profiler:
            work()
        assert profiler.result is not None
        assert row(profiler.result, "work")["calls"] == 1


def test_an_exception_ends_the_block_and_goes_on() -> None:
    profiler = CodeProfiler()
    with pytest.raises(ZeroDivisionError), profiler:
        _ = work() / 0
    assert profiler.result is not None
    assert not profiler.running


def test_errors_say_what_to_do() -> None:
    profiler = CodeProfiler()
    for ask in (profiler.stop_profiling, profiler.snapshot):
        with pytest.raises(NotProfilingError, match=r"call start_profiling\(\) first"):
            ask()
    assert profiler.result is None
    profiler.start_profiling()
    with pytest.raises(AlreadyProfilingError, match=r"stop_profiling\(\) first"):
        profiler.start_profiling()
    work()
    assert row(profiler.stop_profiling(), "work")["calls"] == 1, "the first start still counts"
    with pytest.raises(NotProfilingError):
        profiler.stop_profiling()
    for kind in (NotProfilingError, AlreadyProfilingError, OtherProfilerError):
        assert issubclass(kind, ProfilerError)
        assert issubclass(kind, RuntimeError)


def test_another_cprofile_is_left_alone() -> None:
    other = cProfile.Profile()
    profiler = CodeProfiler()
    other.enable()
    try:
        with pytest.raises(OtherProfilerError, match="end it first"):
            profiler.start_profiling()
        work()
    finally:
        other.disable()
    heard = [entry.code for entry in other.getstats() if not isinstance(entry.code, str)]
    assert work.__code__ in heard
    with profiler:
        work()
    assert profiler.result is not None


def test_another_code_profiler_is_another_profiler() -> None:
    first, second = CodeProfiler(), CodeProfiler()
    with first:
        with pytest.raises(OtherProfilerError):
            second.start_profiling()
        assert not second.running
        work()
    assert first.result is not None
    assert row(first.result, "work")["calls"] == 1


@pytest.mark.skipif(not PER_THREAD, reason="sys.setprofile and cProfile get along there")
def test_the_profiler_of_somebody_else_is_left_alone() -> None:
    heard: list[str] = []

    def listen(_frame: object, event: str, _argument: object) -> None:
        heard.append(event)

    profiler = CodeProfiler()
    sys.setprofile(listen)
    try:
        with pytest.raises(OtherProfilerError, match=r"listen.*end it first"):
            profiler.start_profiling()
        assert sys.getprofile() is listen
    finally:
        sys.setprofile(None)
    assert heard


@pytest.mark.skipif(not PER_THREAD, reason="the interpreter refuses the second one there")
def test_a_profiler_that_took_its_place_stays() -> None:
    profiler, other = CodeProfiler(), cProfile.Profile()
    profiler.start_profiling()
    work()
    other.enable()
    try:
        sleep_a_little()
        profile = profiler.stop_profiling()
        assert sys.getprofile() is other  # type: ignore[comparison-overlap]
        del profiler
        gc.collect()
        assert sys.getprofile() is other  # type: ignore[comparison-overlap]
    finally:
        other.disable()
    assert row(profile, "work")["calls"] == 1
    assert "another profiler took its place" in profile["note"]


def test_a_decorator_adds_the_calls_up() -> None:
    profiler = CodeProfiler()

    @profiler
    def twice(number: int) -> int:
        """Say so."""
        return fib(number) + work()

    assert (twice.__name__, twice.__doc__) == ("twice", "Say so.")
    assert twice(3) == twice(3) == 24
    work()
    profile = profiler.result
    assert profile is not None
    assert row(profile, "work")["calls"] == 2, "what lies between the calls is not in it"
    assert row(profile, twice.__qualname__)["calls"] == 2
    assert not profiler.running
    with profiler:
        twice(3)
        assert profiler.running
    assert profiler.result is not None
    assert row(profiler.result, "work")["calls"] == 1


def test_a_decorated_function_that_calls_itself_or_raises() -> None:
    profiler = CodeProfiler()

    @profiler
    def down(number: int) -> None:
        if number == 0:
            raise KeyError
        down(number - 1)

    with pytest.raises(KeyError):
        down(3)
    assert not profiler.running
    assert profiler.result is not None
    assert row(profiler.result, down.__qualname__)["total_calls"] == 4


async def test_a_decorator_of_coroutine_functions() -> None:
    profiler = CodeProfiler(limit=1000)

    @profiler
    async def serve(number: int) -> int:
        await asyncio.sleep(0.001)
        fib(5)
        return number

    assert asyncio.iscoroutinefunction(serve)
    # All at once: the first begins, the last ends.
    assert await asyncio.gather(*map(serve, range(10))) == list(range(10))
    assert not profiler.running
    profile = profiler.result
    assert profile is not None
    assert row(profile, "fib")["calls"] == 10
    assert row(profile, serve.__qualname__)["calls"] == 20, "once for each time that it goes on"
    assert "coroutines and generators count each time they go on" in profile["note"]


def test_methods_can_be_decorated_and_other_things_not() -> None:
    profiler = CodeProfiler()

    class Shop:
        @profiler
        def sell(self) -> int:
            return work()

        @profiler
        @staticmethod
        def buy() -> int:
            return work()

    assert Shop().sell() == Shop.buy() == 21
    assert profiler.result is not None
    assert row(profiler.result, "work")["calls"] == 2

    def pieces() -> Iterator[int]:
        yield 1

    for other in (Shop, 3, pieces):
        with pytest.raises(TypeError, match=r"profile"):
            profiler(other)  # type: ignore[arg-type]


def test_a_decorated_function_runs_beside_another_profiler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    profiler = CodeProfiler()
    decorated: Callable[[], int] = profiler(work)
    decorated()
    with CodeProfiler(), caplog.at_level(logging.WARNING, "perftui"):
        assert decorated() == decorated() == 21
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "without its CodeProfiler" in caplog.text
    decorated()
    assert profiler.result is not None
    assert row(profiler.result, "work")["calls"] == 2, "what it had is not lost"
