"""CodeProfiler and threads: who is followed, who is not, and how it lets go of them."""

from __future__ import annotations

import cProfile
import sys
import threading
import time
from collections.abc import Callable

import pytest
from reporter_checks import run, wait_for
from test_code_profiler import PER_THREAD, fib, row, work

from perftui import CodeProfiler
from perftui.profiling import cprofile_capture

per_thread = pytest.mark.skipif(not PER_THREAD, reason="one profiler hears the whole process there")
process_wide = pytest.mark.skipif(PER_THREAD, reason="a profiler hears its own thread only here")


class Asked(threading.Thread):
    """A thread that does what it is asked to, and tells which profiler it has."""

    def __init__(self, name: str = "asked") -> None:
        super().__init__(name=name, daemon=True)
        self._wanted: Callable[[], object] | None = None
        self._turn = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self.answer: object = None
        self.start()

    def run(self) -> None:
        while True:
            self._turn.acquire()
            if self._wanted is None:
                return
            self.answer = self._wanted()
            self._done.release()

    def ask(self, wanted: Callable[[], object]) -> object:
        self._wanted = wanted
        self._turn.release()
        assert self._done.acquire(timeout=10)
        return self.answer

    def end(self) -> None:
        self._wanted = None
        self._turn.release()
        self.join(10)


@per_thread
def test_threads_that_begin_while_it_runs_are_in_it() -> None:
    profiler = CodeProfiler(limit=1000)
    profiler.start_profiling()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work()
    during = profiler.snapshot()
    profile = profiler.stop_profiling()
    for found in (during, profile):
        work_row = row(found, "work")
        assert work_row["calls"] == 4
        assert work_row["time"] >= 4 * 0.02, "each thread's own time, though they ran at once"
        assert row(found, "fib")["total_calls"] == 4 * 41
        assert found["threads"] == 4
    # Threads that other tests left behind in this process are told of, too.
    assert not profile["note"] or "that ran before the start" in profile["note"]


@per_thread
def test_a_thread_that_ran_before_is_not_in_it_and_the_note_says_so() -> None:
    before = Asked()
    profiler = CodeProfiler(limit=1000)
    with profiler:
        before.ask(work)
    assert profiler.result is not None
    assert "work" not in {call["function"] for call in profiler.result["calls"]}
    assert "that ran before the start" in profiler.result["note"]
    before.end()


@per_thread
def test_followed_threads_are_let_go_of() -> None:
    profiler = CodeProfiler(limit=1000)
    profiler.start_profiling()
    followed = Asked()
    followed.ask(work)
    assert isinstance(followed.ask(sys.getprofile), cProfile.Profile)
    profile = profiler.stop_profiling()
    assert row(profile, "work")["calls"] == 1
    followed.ask(work)
    assert followed.ask(sys.getprofile) is None
    assert row(profile, "work")["calls"] == 1
    # The same thread may be profiled by another now, and nothing ends that.
    other = cProfile.Profile()
    followed.ask(other.enable)
    with profiler:
        work()
    assert followed.ask(sys.getprofile) is other
    followed.ask(other.disable)
    followed.end()
    with profiler:
        work()
    assert cprofile_capture._departed == []


@per_thread
def test_a_stop_from_another_thread() -> None:
    profiler = CodeProfiler(limit=1000)
    starter = Asked()
    starter.ask(profiler.start_profiling)
    starter.ask(work)
    profile = profiler.stop_profiling()
    assert row(profile, "work")["calls"] == 1
    starter.ask(work)
    assert starter.ask(sys.getprofile) is None
    starter.ask(profiler.start_profiling)
    starter.ask(work)
    again = starter.ask(profiler.stop_profiling)
    assert isinstance(again, dict)
    assert row(again, "work")["calls"] == 1  # type: ignore[arg-type]
    starter.end()


@per_thread
def test_a_stop_from_a_thread_with_a_profiler_of_its_own() -> None:
    profiler, other = CodeProfiler(limit=1000), cProfile.Profile()
    starter = Asked()
    starter.ask(profiler.start_profiling)
    starter.ask(work)
    other.enable()
    try:
        profile = profiler.stop_profiling()
        assert sys.getprofile() is other  # type: ignore[comparison-overlap]
    finally:
        other.disable()
    assert row(profile, "work")["calls"] == 1
    starter.ask(work)
    assert starter.ask(sys.getprofile) is None
    starter.end()


@per_thread
def test_many_short_threads_cost_few_profilers() -> None:
    profiler = CodeProfiler(limit=1000)
    with profiler:
        for _ in range(50):
            thread = threading.Thread(target=fib, args=(3,))
            thread.start()
            thread.join()
        capture = profiler._current()
        assert isinstance(capture, cprofile_capture.ThreadCapture)
        assert len(capture._followed) <= 2
    assert profiler.result is not None
    assert row(profiler.result, "fib")["calls"] == 50
    assert profiler.result["threads"] == 51


@per_thread
def test_the_threads_hook_of_somebody_else_is_left_alone() -> None:
    def listen(_frame: object, _event: str, _argument: object) -> None:
        return None

    profiler = CodeProfiler()
    threading.setprofile(listen)
    try:
        with profiler:
            work()
        assert threading.getprofile() is listen
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]
    assert profiler.result is not None
    assert "threading.setprofile() is used by another" in profiler.result["note"]


@per_thread
def test_calls_of_a_decorated_function_in_many_threads() -> None:
    profiler = CodeProfiler(limit=1000)
    decorated = profiler(fib)
    threads = [Asked(str(number)) for number in range(4)]
    rounds = 30
    total = 0
    for _ in range(rounds):
        for thread in threads:
            assert thread.ask(lambda: decorated(4)) == 5
            total += 1
    assert not profiler.running
    assert profiler.result is not None
    assert row(profiler.result, "fib")["calls"] == total
    # At the same time: whatever is seen of it, nobody is disturbed and nothing is left behind.
    stop = threading.Event()

    def repeat() -> int:
        count = 0
        while not stop.is_set():
            count += decorated(4) == 5
        return count

    helpers = [threading.Thread(target=thread.ask, args=(repeat,)) for thread in threads]
    for helper in helpers:
        helper.start()
    time.sleep(0.3)
    stop.set()
    for helper in helpers:
        helper.join()
    assert all(isinstance(thread.answer, int) and thread.answer > 0 for thread in threads)
    wait_for(lambda: not profiler.running)
    for thread in threads:
        thread.ask(work)
        assert thread.ask(sys.getprofile) is None
        thread.end()


@process_wide
def test_more_than_one_thread_is_said() -> None:
    profiler = CodeProfiler(limit=1000)
    with profiler:
        work()
    assert profiler.result is not None
    alone = threading.active_count() == 1
    assert ("all threads on one stack" in profiler.result["note"]) is not alone
    with profiler:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        work()
    assert profiler.result is not None
    assert row(profiler.result, "work")["calls"] == 2
    assert "all threads on one stack" in profiler.result["note"]


FORK = """
import cProfile, os, sys, threading
from perftui import CodeProfiler
from perftui.profiling.profiler_errors import NotProfilingError

def work():
    return 1

profiler = CodeProfiler()
child = None
with profiler:
    work()
    child = os.fork()
    if child == 0:
        assert sys.getprofile() is None, "the child is not slowed down"
        assert not profiler.running
        assert profiler.began is None
        try:
            profiler.stop_profiling()
        except NotProfilingError as error:
            assert "in this process" in str(error)
        else:
            os._exit(1)
        assert threading.getprofile() is None
        profiler.start_profiling()
        work()
        (call,) = profiler.stop_profiling()["calls"]
        assert (call["function"], call["calls"]) == ("work", 1)
    else:
        _, status = os.waitpid(child, 0)
        assert status == 0
        work()
if child == 0:
    assert profiler.result["calls"][0]["calls"] == 1
    sys.exit(0)
[work_row] = [call for call in profiler.result["calls"] if call["function"] == "work"]
assert work_row["calls"] == 2
"""


def test_a_forked_process_goes_without() -> None:
    done = run(FORK)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_program_may_end_while_it_profiles() -> None:
    done = run(
        "import threading, time\n"
        "from perftui import CodeProfiler\n"
        "profiler = CodeProfiler()\n"
        "profiler.start_profiling()\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "threading.Thread(target=sum, args=([],)).start()\n"
        "print(profiler.snapshot()['total_calls'] > 0)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_starts_and_stops_from_many_threads_leave_nothing_behind() -> None:
    done = run(
        "import random, sys, threading\n"
        "from perftui import CodeProfiler\n"
        "from perftui.profiling.profiler_errors import ProfilerError\n"
        "profiler = CodeProfiler()\n"
        "def idle(): pass\n"
        "decorated = profiler(idle)\n"
        "def churn(seed):\n"
        "    ways = [profiler.start_profiling, profiler.stop_profiling, profiler.snapshot,\n"
        "            lambda: profiler.heaviest(5), decorated, thread]\n"
        "    chance = random.Random(seed)\n"
        "    for _ in range(300):\n"
        "        try: chance.choice(ways)()\n"
        "        except ProfilerError: pass\n"
        "    churned.wait(10)\n"
        "    stopped.wait(10)\n"
        "    idle()\n"
        "    left.append(sys.getprofile())\n"
        "def thread():\n"
        "    one = threading.Thread(target=idle)\n"
        "    one.start(); one.join()\n"
        "left, churned, stopped = [], threading.Barrier(7), threading.Barrier(7)\n"
        "threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(6)]\n"
        "for one in threads: one.start()\n"
        "churned.wait(10)\n"
        "try: profiler.stop_profiling()\n"
        "except ProfilerError: pass\n"
        "stopped.wait(10)\n"
        "for one in threads: one.join()\n"
        "print(left == [None] * 6, sys.getprofile(), threading.getprofile())\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True None None\n"
