"""What the live profile shows, how soon, and what it costs, for programs of known shares.

For each program, one after the other: seconds to the first table; the farthest of the own shares of
three functions from the truth of 70, 20 and 10 percent, in the table of the last five seconds;
percent of a core of this process and of py-spy; how long the main thread of the program was held in
percent of the time, with the profiler, from the fifth second on (later), when the denser begin is
over, and without it (before); the farthest of the shares of ten seconds from
those of `py-spy record` over the ten seconds after (ref), with the flags of profile_programs.py
where its own are wrong for a program; the same of that recording and one more over the ten seconds
after that (ref2), which is what chance and the machine alone make; three standard errors of the
largest share for as many samples as the ten seconds had (chance). Off 10 s and ref off are how far
the ten seconds and the first recording are from the truth. Every table has its stacks, too.

Held is what is left of the time when the thread neither ran nor waited for a CPU, by
/proc/PID/task/TID/schedstat: only the profiler holds a thread that always computes. On a machine
that is busy with other things the shares scatter; the queue column says how much of the time the
program waited for a CPU. Usage:
`python tests/benchmarks/profile_feed.py [PROGRAM ...] [--rounds 1] [--mode auto] [--no-reference]`
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from profile_programs import PROGRAMS, TRUTH, Program, running

from perftui.profiling.speedscope import parse_speedscope
from perftui.snapshot import ProfileRequest, Selection, TopCalls
from perftui.sources.pyspy.source import ProfileSource, find_py_spy

SECONDS = 10
BASELINE = 2.0

COLUMNS = (
    *(("first s", 8), ("off 5 s", 8), ("own %", 6), ("py-spy %", 9)),
    *(("held %", 7), ("later", 6), ("before", 7), ("queue", 6), ("rate", 9), ("cover", 6)),
    *(("ref", 6), ("ref2", 6), ("off 10 s", 9), ("ref off", 8), ("chance", 7)),
)


class Times(NamedTuple):
    """Seconds that a thread ran and waited for a CPU, at a time."""

    taken: float
    ran: float
    queued: float

    def since(self, before: Times) -> tuple[float, float]:
        """Return percent of the time that it was held, and waited for a CPU."""
        seconds = self.taken - before.taken
        queued = self.queued - before.queued
        held = seconds - (self.ran - before.ran) - queued
        return 100 * held / seconds, 100 * queued / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", default=list(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--no-reference", action="store_true")
    options = parser.parse_args()
    print("program".ljust(10) + "".join(name.rjust(width) for name, width in COLUMNS) + "  mode")
    for name in options.programs:
        for _ in range(options.rounds):
            with running(name) as pid:
                measure(name, pid, options.mode, not options.no_reference)


def measure(name: str, pid: int, mode: str, with_reference: bool) -> None:
    """Profile one process and print a line about it."""
    program = PROGRAMS[name]
    begin = thread_times(pid)
    time.sleep(BASELINE)
    before, _ = thread_times(pid).since(begin)
    source = ProfileSource(mode)
    request = ProfileRequest(mode=mode, subprocesses=bool(program.workers), stacks=True)
    source.select(Selection(profile=request))
    began = time.monotonic()
    source.set_target(pid)
    try:
        source.sample()
        first = time.monotonic() - began
        begin, own, children = thread_times(pid), time.process_time(), children_seconds()
        metered = time.monotonic()
        table = sample_until(source, began + 5)
        off = farthest(shares(table), TRUTH)
        settled = thread_times(pid)
        table = sample_until(source, began + SECONDS)
        now = thread_times(pid)
        (held, queued), (later, _) = now.since(begin), now.since(settled)
        passed = time.monotonic() - metered
        own, children = time.process_time() - own, children_seconds() - children
        everything = ProfileRequest(
            mode=mode, subprocesses=request.subprocesses, stacks=True, window=0
        )
        source.select(Selection(profile=everything))
        whole = source.sample()
    finally:
        source.close()
    apart = noise = ref_off = "-"
    if with_reference:
        one, other = reference(pid, program), reference(pid, program)
        apart, noise = f"{farthest(shares(whole), one):.1f}", f"{farthest(one, other):.1f}"
        ref_off = f"{farthest(one, TRUTH):.1f}"
    chance = 300 * math.sqrt(0.7 * 0.3 / max(1, whole.samples))
    cells = (
        f"{first:.2f}",
        f"{off:.1f}",
        f"{100 * own / passed:.2f}",
        f"{100 * children / passed:.2f}",
        *(f"{share:.1f}" if program.computes else "-" for share in (held, later, before)),
        f"{queued:.0f}",
        f"{table.rate_reached:.0f}/{table.rate_wanted:.0f}",
        f"{table.coverage_percent:.0f}",
        apart,
        noise,
        f"{farthest(shares(whole), TRUTH):.1f}",
        ref_off,
        f"{chance:.1f}",
    )
    row = "".join(cell.rjust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True))
    counts = f"{len(table.processes)} processes, {len(table.threads)} threads"
    print(f"{name:10}{row}  {table.mode}, {counts}", flush=True)


def sample_until(source: ProfileSource, end: float) -> TopCalls:
    """Return the first table that comes after a monotonic time."""
    while True:
        table = source.sample()
        if time.monotonic() >= end:
            return table


def shares(table: TopCalls) -> dict[str, float]:
    """Return what the three functions use of all three, `spin` counted for its caller."""
    total = {call.function: call.total for call in table.calls}
    return of_three(total)


def of_three(seconds: dict[str, float]) -> dict[str, float]:
    """Return the percents of the three functions among themselves."""
    whole = sum(seconds.get(name, 0.0) for name in TRUTH)
    return {name: 100 * seconds.get(name, 0.0) / max(whole, 1e-9) for name in TRUTH}


def farthest(one: dict[str, float], other: dict[str, float]) -> float:
    """Return the largest difference in points."""
    return max(abs(one[name] - other[name]) for name in TRUTH)


def reference(pid: int, program: Program) -> dict[str, float]:
    """Return the shares by one plain recording of py-spy."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "profile.json")
        subprocess.run(
            [
                *(find_py_spy() or "py-spy", "record", "--pid", str(pid), "--format", "speedscope"),
                *("--duration", str(SECONDS), "--output", str(output), *program.reference),
            ],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        profile = parse_speedscope(output.read_bytes())
    counts: dict[str, float] = {}
    for thread in profile.threads:
        for stack, count in thread.stacks:
            for name in {profile.frames[place].name for place in stack}:
                counts[name] = counts.get(name, 0.0) + count
    return of_three(counts)


def thread_times(pid: int) -> Times:
    """Return the times of the main thread of a process."""
    fields = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
    return Times(time.monotonic(), int(fields[0]) / 1e9, int(fields[1]) / 1e9)


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
