"""CPU time of every thread of a process or tree from /proc, under the ids a profiler inside sees.

Format: /proc/PID/task/TID/schedstat, see the kernel's Documentation/scheduler/sched-stats.rst;
NSpid of /proc/PID/status, see proc_pid_status(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from perftui.profiling.speedscope import ThreadKey
from perftui.sources.pyspy.tree import process_tree


class ThreadTime(NamedTuple):
    """Seconds a thread ran on a CPU and seconds it waited for one, since it began."""

    running: float
    waiting: float


class CpuReading(NamedTuple):
    """Thread times at one monotonic time, by process and thread id.

    The id of the thread is that in its innermost pid namespace, the id of the process ours.
    """

    taken: float
    threads: Mapping[ThreadKey, ThreadTime]


class ThreadClock:
    """Reads the CPU times of the threads of one process; not for use by two threads at once."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._tasks = f"/proc/{pid}/task"
        self._inner: dict[str, int] = {}
        self._nested: bool | None = None

    def read(self) -> CpuReading:
        """Return the times now; without entries where the system has no such files."""
        taken = time.monotonic()
        try:
            names = os.listdir(self._tasks)
        except OSError:
            return CpuReading(taken, {})
        if self._nested is None:
            self._nested = _is_nested(f"{self._tasks}/{names[0]}/status") if names else None
        threads: dict[ThreadKey, ThreadTime] = {}
        for name in names:
            text = _read(f"{self._tasks}/{name}/schedstat")
            if text is None:
                continue
            fields = text.split(None, 2)
            if len(fields) < 2:
                continue
            key = self._pid, self._inner_id(name)
            threads[key] = ThreadTime(int(fields[0]) / 1e9, int(fields[1]) / 1e9)
        if self._nested and len(self._inner) > 2 * len(names) + 100:
            self._inner = {name: self._inner[name] for name in names if name in self._inner}
        return CpuReading(taken, threads)

    def _inner_id(self, name: str) -> int:
        if not self._nested:
            return int(name)
        known = self._inner.get(name)
        if known is None:
            ids = _namespace_ids(f"{self._tasks}/{name}/status")
            known = self._inner[name] = ids[-1] if ids else int(name)
        return known


class TreeClock:
    """Reads the CPU times of a process and all that descend from it; not for two threads at once.

    Processes that begin and end are followed. Of one that ended the last bit is not known.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._clocks: dict[int, ThreadClock] = {}

    def read(self) -> CpuReading:
        """Return the times now; without entries where the system has no such files."""
        taken = time.monotonic()
        tree = process_tree(self._pid)
        self._clocks = {pid: self._clocks.get(pid) or ThreadClock(pid) for pid in tree}
        threads: dict[ThreadKey, ThreadTime] = {}
        for clock in self._clocks.values():
            threads.update(clock.read().threads)
        return CpuReading(taken, threads)


def time_between(before: CpuReading, after: CpuReading) -> dict[ThreadKey, ThreadTime]:
    """Return what each thread used between two readings, for threads that are in the second.

    A thread that began in between has used all that it has.
    """
    none = ThreadTime(0.0, 0.0)
    used: dict[ThreadKey, ThreadTime] = {}
    for key, now in after.threads.items():
        then = before.threads.get(key, none)
        if then.running > now.running:
            # The id was given to another thread.
            then = none
        used[key] = ThreadTime(now.running - then.running, max(0.0, now.waiting - then.waiting))
    return used


def _is_nested(path: str) -> bool | None:
    ids = _namespace_ids(path)
    return len(ids) > 1 if ids else None


def _namespace_ids(path: str) -> list[int]:
    """Return the ids of a task from the outermost to the innermost pid namespace."""
    text = _read(path)
    for line in (text or b"").splitlines():
        if line.startswith(b"NSpid:"):
            return [int(field) for field in line.split()[1:]]
    return []


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return None
    finally:
        os.close(descriptor)
