"""What a CodeProfiler costs: beside plain cProfile, and per reading.

Run: PYTHONPATH=. python tests/benchmarks/code_profiler.py [rounds]

First how much slower programs become, in CPU time, best of the rounds, which alternate; a ratio of
1.00 between the two profilers means that CodeProfiler adds nothing to each call. Then what one
reading takes of a profile with 5,000 functions, and what a Reporter that reads it every 10 s costs
of a core.
"""

from __future__ import annotations

import cProfile
import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from perftui.metrics.profile_publisher import BUDGET, PUBLISH_INTERVAL, ProfilePublisher
from perftui.profiling.code_profiler import CodeProfiler

FUNCTIONS = 5000


def fib(number: int) -> int:
    return 1 if number < 2 else fib(number - 1) + fib(number - 2)


def python_calls() -> None:
    fib(21)


def calls_of_c() -> None:
    digest = hashlib.sha256
    block = b"x" * 4096
    for _ in range(3000):
        digest(block)


def no_calls() -> None:
    total = 0
    for number in range(400_000):
        total += number & 3


def decorated_calls() -> None:
    for _ in range(300):
        fib(5)


def bare(work: Callable[[], None]) -> None:
    work()


def by_cprofile(work: Callable[[], None]) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    work()
    profiler.disable()


def by_code_profiler(work: Callable[[], None]) -> None:
    profiler = CodeProfiler()
    profiler.start_profiling()
    work()
    # The result is made later, so that the same is compared.
    profiler._stop()


def best(way: Callable[[Callable[[], None]], None], work: Callable[[], None]) -> float:
    begin = time.process_time()
    way(work)
    return time.process_time() - begin


def overhead(rounds: int) -> None:
    ways = (bare, by_cprofile, by_code_profiler)
    print(
        f"{'CPU time, times the bare program':<34}{'cProfile':>10}{'CodeProfiler':>14}{'ratio':>8}"
    )
    for work in (python_calls, decorated_calls, calls_of_c, no_calls):
        found = {way: min(best(way, work) for _ in range(rounds)) for way in ways}
        plain, ours = found[by_cprofile] / found[bare], found[by_code_profiler] / found[bare]
        print(f"{work.__name__:<34}{plain:>10.2f}{ours:>14.2f}{ours / plain:>8.2f}")


def one_function(rounds: int) -> None:
    """Print what the decorator adds to a call."""

    def nothing() -> None:
        pass

    decorated = CodeProfiler()(nothing)
    calls = 2000
    costs = []
    for _ in range(rounds):
        begin = time.process_time()
        for _ in range(calls):
            decorated()
        costs.append((time.process_time() - begin) / calls)
    print(f"a call of a decorated function takes {1e6 * min(costs):.1f} us more")


def seconds_of(way: Callable[[], object]) -> float:
    begin = time.thread_time()
    way()
    return time.thread_time() - begin


def readings(rounds: int) -> None:
    names: dict[str, Callable[[], object]] = {}
    lines = [f"def f{number}():\n    return len('')\n" for number in range(FUNCTIONS)]
    exec("".join(lines), names)
    profiler = CodeProfiler()
    publisher = ProfilePublisher(profiler)
    ways: dict[str, Callable[[], object]] = {
        "getstats() of cProfile": lambda: profiler._current()._profile.getstats(),  # type: ignore[union-attr]
        "CodeProfiler.snapshot()": profiler.snapshot,
        "what a Reporter reads": lambda: publisher.read(),
    }
    what = f"one reading of {FUNCTIONS:,} functions"
    print(f"\n{what:<34}{'median':>10}{'worst':>14}")
    # In a thread of its own, as a Reporter has one; up to Python 3.11 it is not profiled.
    with ThreadPoolExecutor(1) as reader:
        reader.submit(time.thread_time).result()
        with profiler:
            for number in range(FUNCTIONS):
                names[f"f{number}"]()
            for name, way in ways.items():
                times = []
                for _ in range(rounds):
                    publisher._due = 0.0
                    times.append(reader.submit(seconds_of, way).result())
                median, worst = 1e3 * statistics.median(times), 1e3 * max(times)
                print(f"{name:<34}{median:>7.1f} ms{worst:>11.1f} ms")
    every = max(PUBLISH_INTERVAL, statistics.median(times) / BUDGET)
    share = 100 * statistics.median(times) / every
    print(
        f"a Reporter reads it every {every:.0f} s: {share:.3f} % of a core, budget {100 * BUDGET} %"
    )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"Python {sys.version.split()[0]}, {rounds} rounds")
    overhead(rounds)
    one_function(rounds)
    readings(rounds)


if __name__ == "__main__":
    main()
