"""What one sample of the process table costs, beside psutil's process_iter in the same run.

Prints CPU milliseconds per tick and percent of one core at the given interval. Usage:
`python tests/benchmarks/process_scan.py [--ticks 20] [--interval 1] [--fake 10000] [--real N]`;
`--real` starts N sleeping children, `--fake` writes a tree like /proc with that many processes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from perftui.sources.cgroup.source import CgroupSource
from perftui.sources.host import HostSource
from perftui.sources.processes.source import ProcessSource

PEER_ATTRIBUTES = [
    "pid", "ppid", "name", "username", "status", "cpu_percent", "memory_info", "num_threads",
]  # fmt: skip
STAT = (
    "{pid} (worker {pid}) S 1 {pid} {pid} 0 -1 4194304 99 0 0 0 {ticks} 2 0 0 20 0 3 0 {start} "
    "3133440 393 18446744073709551615 1 2 140722589721312 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 "
    "0 0 0 0 0\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=10)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--fake", type=int, default=10_000)
    parser.add_argument("--real", type=int, default=0)
    options = parser.parse_args()
    report(f"host, {options.ticks} ticks", HostSource().sample, options)
    report("cgroup", CgroupSource().sample, options)
    compare("real /proc", options)
    if options.real:
        children = [subprocess.Popen(["sleep", "600"]) for _ in range(options.real)]
        try:
            compare(f"real /proc with {options.real} more processes", options)
        finally:
            for child in children:
                child.kill()
            for child in children:
                child.wait()
    if options.fake:
        with tempfile.TemporaryDirectory() as directory:
            write_tree(Path(directory), options.fake)
            source = ProcessSource(proc=directory)
            busy = [str(pid) for pid in range(1000, 1020)]

            def tick() -> object:
                for pid in busy:
                    write_process(Path(directory), int(pid), time.monotonic_ns() // 10_000_000)
                return None

            report(f"fake tree of {options.fake}", source.sample, options, before=tick)


def compare(title: str, options: argparse.Namespace) -> None:
    """Report this source and psutil over the same processes, and their ratio."""
    ours = report(f"{title}: perftui", ProcessSource().sample, options)
    peer = report(f"{title}: psutil", lambda: list(psutil.process_iter(PEER_ATTRIBUTES)), options)
    print(f"{'':52} psutil / perftui = {peer / ours:.1f}")


def report(
    title: str,
    sample: Callable[[], object],
    options: argparse.Namespace,
    before: Callable[[], object] | None = None,
) -> float:
    """Run `sample` once a tick, print its CPU cost, and return the median in seconds."""
    begun = time.thread_time()
    result = sample()
    first = time.thread_time() - begun
    costs = []
    for _ in range(options.ticks):
        time.sleep(options.interval)
        if before is not None:
            before()
        begun = time.thread_time()
        result = sample()
        costs.append(time.thread_time() - begun)
    median = statistics.median(costs)
    count = len(getattr(result, "rows", ())) or (len(result) if isinstance(result, list) else 0)
    scan = getattr(result, "scan_seconds", None)
    print(
        f"{title:52} {median * 1e3:8.2f} ms/tick (first {first * 1e3:.1f}, worst "
        f"{max(costs) * 1e3:.2f}) {100 * median:6.3f} % at 1 Hz"
        + (f", {count} processes" if count else "")
        + (f", oldest row {scan:.2f} s" if scan is not None else "")
    )
    return median


def write_tree(root: Path, count: int) -> None:
    for pid in range(1000, 1000 + count):
        (root / str(pid)).mkdir()
        (root / str(pid) / "cmdline").write_bytes(b"/usr/bin/worker\0--number\0%d\0" % pid)
        (root / str(pid) / "status").write_text("Name:\tworker\nUid:\t0\t0\t0\t0\n")
        write_process(root, pid, 5)


def write_process(root: Path, pid: int, ticks: int) -> None:
    (root / str(pid) / "stat").write_text(STAT.format(pid=pid, ticks=ticks, start=pid))


if __name__ == "__main__":
    main()
