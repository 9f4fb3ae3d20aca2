"""What the live profile costs and how soon it is there, beside a naive `py-spy dump` loop.

Both profile the same busy child, one after the other, in several rounds; prints the medians and
their ratios. Own CPU is that of this process, py-spy CPU that of its children, both in percent of
one core. Usage:
`python tests/benchmarks/profile_feed.py [--seconds 10] [--rounds 3] [--mode auto] [--target split]`
with a target of `split`, `deep` (200 frames) or `threads` (12 threads).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from perftui.snapshot import TopCalls
from perftui.sources.pyspy.source import ProfileSource, find_py_spy

DUMPS_PER_SECOND = 20
OPENING = 9.0
"""Seconds after which the faster begin has left the sliding window."""

SPIN = """
import threading, time
def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
def seventy(): spin(0.0035)
def twenty(): spin(0.0010)
def ten(): spin(0.0005)
def main():
    while True: seventy(); twenty(); ten()
"""
TARGETS = {
    "split": SPIN + "main()",
    "deep": SPIN + "def down(n): down(n - 1) if n else main()\ndown(195)",
    "threads": SPIN
    + "for _ in range(11): threading.Thread(target=time.sleep, args=(9999,), daemon=True).start()\n"
    "main()",
}


class Cost(NamedTuple):
    """One measured stretch: percent of a core, stacks a second, seconds to the first table."""

    own: float
    py_spy: float
    samples: float
    first: float
    coverage: float
    mode: str


class Meter:
    """CPU time of this process and of the children it has waited for."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.own = time.process_time()
        self.children = children_seconds()

    def percent(self) -> tuple[float, float, float]:
        """Return own CPU, CPU of the children, and the seconds that passed."""
        seconds = time.monotonic() - self.began
        own = time.process_time() - self.own
        return (
            100 * own / seconds,
            100 * (children_seconds() - self.children) / seconds,
            seconds,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--target", choices=TARGETS, default="split")
    options = parser.parse_args()
    feeds: list[Cost] = []
    loops: list[Cost] = []
    for _ in range(options.rounds):
        with subprocess.Popen([sys.executable, "-c", TARGETS[options.target]]) as child:
            try:
                time.sleep(0.3)
                feeds.append(measure_feed(child.pid, options.seconds, options.mode))
                loops.append(measure_dumps(child.pid, options.seconds))
            finally:
                child.kill()
    print(f"{'':24} {'own CPU %':>10} {'py-spy %':>10} {'samples/s':>10} {'first s':>8} coverage")
    feed, loop = report("live profile", feeds), report("py-spy dump at 20/s", loops)
    print(
        f"{'ratio':24} {feed.own / loop.own:10.2f} {feed.py_spy / loop.py_spy:10.2f}"
        f" {feed.samples / loop.samples:10.2f} {feed.first / loop.first:8.2f}"
    )
    everything = (feed.own + feed.py_spy) / feed.samples / ((loop.own + loop.py_spy) / loop.samples)
    print(f"CPU time per sample, everything: {everything:.3f} of the loop's")


def report(name: str, costs: list[Cost]) -> Cost:
    """Print and return the medians."""
    modes = ", ".join(sorted({cost.mode for cost in costs}))
    median = Cost(
        own=statistics.median(cost.own for cost in costs),
        py_spy=statistics.median(cost.py_spy for cost in costs),
        samples=statistics.median(cost.samples for cost in costs),
        first=statistics.median(cost.first for cost in costs),
        coverage=statistics.median(cost.coverage for cost in costs),
        mode=modes,
    )
    print(
        f"{name:24} {median.own:10.3f} {median.py_spy:10.2f} {median.samples:10.1f}"
        f" {median.first:8.3f} {median.coverage:5.1f} % {modes}"
    )
    return median


def measure_feed(pid: int, seconds: float, mode: str) -> Cost:
    source = ProfileSource(mode=mode)
    began = time.monotonic()
    source.set_target(pid)
    try:
        source.sample()
        first = time.monotonic() - began
        while time.monotonic() - began < OPENING:
            source.sample()
        meter = Meter()
        tables: list[TopCalls] = []
        while time.monotonic() - meter.began < seconds:
            tables.append(source.sample())
        own, py_spy, _ = meter.percent()
    finally:
        source.close()
    return Cost(
        own,
        py_spy,
        statistics.mean(table.samples / table.window for table in tables),
        first,
        statistics.mean(table.coverage_percent for table in tables),
        tables[-1].mode,
    )


def measure_dumps(pid: int, seconds: float) -> Cost:
    command = [find_py_spy() or "py-spy", "dump", "--json", "--pid", str(pid)]
    meter = Meter()
    taken, first = 0, 0.0
    while time.monotonic() - meter.began < seconds:
        due = time.monotonic() + 1 / DUMPS_PER_SECOND
        output = subprocess.run(command, capture_output=True, check=False)
        if output.returncode == 0:
            taken += sum(thread["active"] for thread in json.loads(output.stdout))
            first = first or time.monotonic() - meter.began
        time.sleep(max(0.0, due - time.monotonic()))
    own, py_spy, passed = meter.percent()
    return Cost(own, py_spy, taken / passed, first, 100.0, "exact")


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
