"""The control group of a process: its limits, and how much of them is used."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from perftui.snapshot import FIRST_SAMPLE, Absent, Cgroup, Maybe, State
from perftui.sources.cgroup.files import (
    CpuCounters,
    cpu_counters,
    cpu_limit,
    inherited_memory_limit,
    memory_limit,
    memory_statistics,
    memory_usage,
    oom_kills,
    read_text,
    working_set,
)
from perftui.sources.cgroup.layout import Group, find_group, parse_memberships, parse_mounts
from perftui.sources.counter_rate import WENT_BACK, counter_rate
from perftui.sources.source import SourceError

NO_CPU_LIMIT = Absent(State.UNAVAILABLE, "no CPU limit is set")
NO_MEMORY_LIMIT = Absent(State.UNAVAILABLE, "no memory limit is set")
NO_CPU_CONTROLLER = Absent(State.UNAVAILABLE, "no CPU control group can be seen from here")
NO_MEMORY_CONTROLLER = Absent(State.UNAVAILABLE, "no memory control group can be seen from here")
NO_CPU_USAGE = Absent(State.UNAVAILABLE, "this control group does not count CPU time")
NO_THROTTLING = Absent(State.UNAVAILABLE, "this control group does not count throttling")
NO_OOM_COUNT = Absent(State.UNAVAILABLE, "this control group does not count killed processes")
NO_MEMORY_USAGE = Absent(State.UNAVAILABLE, "this control group does not account memory")


class _Groups(NamedTuple):
    cpu: Group | None
    cpu_usage: Group | None
    memory: Group | None


class _CpuReading(NamedTuple):
    time: float
    directory: str
    counters: CpuCounters


class CgroupSource:
    """Limits and usage of the control group of `pid`, by default of the monitor itself.

    All groups up to the mount point count: the tightest limit is the one that hurts. Usage,
    percent and throttling belong to the group that has this limit, since it is shared by all of
    its children; without a limit they belong to the process's own group. `root` is where /proc and
    the mount points are looked for.
    """

    name = "cgroup"
    deadline = 1.0

    def __init__(self, pid: int | None = None, root: str = "/", interval: float = 1.0) -> None:
        self.interval = interval
        self._pid = pid
        self._root = root
        self._memberships = ""
        self._groups = _Groups(None, None, None)
        self._before: _CpuReading | None = None
        self._periods: Maybe[int] = FIRST_SAMPLE

    def sample(self) -> Cgroup:
        """Return one reading; usage is FIRST_SAMPLE the first time and after a change of group.

        Raises SourceError where there are no control groups, or none that can be seen or read.
        """
        try:
            self._find_groups()
            cpu, memory = self._cpu(), self._memory()
        except PermissionError as error:
            raise SourceError(
                State.DENIED, f"{error.filename} may not be read", f"check: ls -l {error.filename}"
            ) from error
        groups = [group for group in (self._groups.cpu, self._groups.memory) if group is not None]
        return Cgroup(
            min(group.version for group in groups),
            max((group.path for group in groups), key=len),
            *cpu,
            *memory,
            periods=self._periods,
        )

    def close(self) -> None:
        """Nothing is held between two samples."""

    def _find_groups(self) -> None:
        process = "self" if self._pid is None else str(self._pid)
        memberships = read_text(self._below_root(f"proc/{process}/cgroup"))
        if not memberships:
            raise self._no_membership()
        # The mount table is long on container hosts: it is read only when the process has moved,
        # or when what was found before has been removed.
        if memberships == self._memberships and self._still_there():
            return
        self._memberships = ""
        parsed = parse_memberships(memberships)
        mounts = parse_mounts(read_text(self._below_root("proc/self/mountinfo")) or "")
        if not mounts:
            raise SourceError(
                State.UNAVAILABLE,
                "no control group file system is mounted",
                "mount -t cgroup2 none /sys/fs/cgroup",
            )
        cpu, usage, memory = (
            self._existing(find_group(controller, parsed, mounts))
            for controller in ("cpu", "cpuacct", "memory")
        )
        if cpu is None and memory is None:
            raise SourceError(
                State.UNAVAILABLE,
                "the control group of the process lies outside of what is mounted here",
                "run perftui in the same container or control group namespace",
            )
        self._groups = _Groups(cpu, usage, memory)
        self._memberships = memberships

    def _no_membership(self) -> SourceError:
        if self._pid is not None and os.path.isdir(self._below_root("proc/self")):
            return SourceError(State.UNAVAILABLE, f"process {self._pid} is gone")
        return SourceError(State.UNAVAILABLE, "this system has no control groups (Linux only)")

    def _below_root(self, path: str) -> str:
        return os.path.join(self._root, path.lstrip("/"))

    def _existing(self, group: Group | None) -> Group | None:
        """Return the group with real directories only: one may be deleted, or hidden from here."""
        if group is None:
            return None
        directories = [self._below_root(directory) for directory in group.directories]
        while directories and not os.path.isdir(directories[0]):
            del directories[0]
        return group._replace(directories=tuple(directories)) if directories else None

    def _still_there(self) -> bool:
        return all(
            group is None or os.path.isdir(group.directories[0])
            for group in (self._groups.cpu, self._groups.memory)
        )

    def _cpu(
        self,
    ) -> tuple[Maybe[float | None], Maybe[float], Maybe[float], Maybe[float]]:
        """Return limit and usage in cores, percent of the limit, percent of periods throttled."""
        group = self._groups.cpu
        if group is None:
            self._periods = NO_CPU_CONTROLLER
            return NO_CPU_CONTROLLER, NO_CPU_CONTROLLER, NO_CPU_CONTROLLER, NO_CPU_CONTROLLER
        limit, directory = None, group.directories[0]
        for candidate in group.directories:
            quota = cpu_limit(group.version, candidate)
            if quota is not None and (limit is None or quota < limit):
                limit, directory = quota, candidate
        now = _CpuReading(
            time.monotonic(),
            directory,
            cpu_counters(group.version, directory, self._usage_directory(group, directory)),
        )
        before, self._before = self._before, now
        cores = _cores(before, now)
        if limit is None:
            self._periods = NO_CPU_LIMIT
            return None, cores, NO_CPU_LIMIT, NO_CPU_LIMIT
        self._periods = _periods_between(before, now)
        percent = cores if isinstance(cores, Absent) else 100 * cores / limit
        return limit, cores, percent, _throttled_percent(before, now)

    def _usage_directory(self, group: Group, directory: str) -> str | None:
        """Return the cpuacct group that matches a cpu group of version 1."""
        usage = self._groups.cpu_usage
        if group.version == 2 or usage is None:
            return None
        below_top = os.path.relpath(directory, group.directories[-1])
        twin = os.path.normpath(os.path.join(usage.directories[-1], below_top))
        return twin if twin in usage.directories else usage.directories[0]

    def _memory(self) -> tuple[Maybe[int | None], Maybe[int], Maybe[float], Maybe[int]]:
        """Return limit and working set in bytes, percent of the limit, processes killed at it."""
        group = self._groups.memory
        if group is None:
            absent = NO_MEMORY_CONTROLLER
            return absent, absent, absent, absent
        limit, directory = None, group.directories[0]
        for candidate in group.directories:
            bytes_allowed = memory_limit(group.version, candidate)
            if bytes_allowed is not None and (limit is None or bytes_allowed < limit):
                limit, directory = bytes_allowed, candidate
        counted = oom_kills(group.version, directory)
        killed: Maybe[int] = NO_OOM_COUNT if counted is None else counted
        usage, statistics = _first_accounted(group, directory)
        inherited = inherited_memory_limit(statistics)
        if inherited is not None and (limit is None or inherited < limit):
            limit = inherited
        if usage is None:
            return limit, NO_MEMORY_USAGE, NO_MEMORY_USAGE, killed
        used = working_set(group.version, usage, statistics)
        if limit is None:
            return None, used, NO_MEMORY_LIMIT, killed
        return limit, used, 100 * used / limit if limit else 100.0, killed


def _cores(before: _CpuReading | None, now: _CpuReading) -> Maybe[float]:
    if now.counters.seconds is None:
        return NO_CPU_USAGE
    if before is None or before.directory != now.directory or before.counters.seconds is None:
        return FIRST_SAMPLE
    return counter_rate(before.counters.seconds, now.counters.seconds, now.time - before.time)


def _periods_between(before: _CpuReading | None, now: _CpuReading) -> Maybe[int]:
    if now.counters.periods is None:
        return NO_THROTTLING
    if before is None or before.directory != now.directory or before.counters.periods is None:
        return FIRST_SAMPLE
    periods = now.counters.periods - before.counters.periods
    return WENT_BACK if periods < 0 else periods


def _throttled_percent(before: _CpuReading | None, now: _CpuReading) -> Maybe[float]:
    if now.counters.periods is None or now.counters.throttled is None:
        return NO_THROTTLING
    if (
        before is None
        or before.directory != now.directory
        or before.counters.periods is None
        or before.counters.throttled is None
    ):
        return FIRST_SAMPLE
    periods = now.counters.periods - before.counters.periods
    throttled = now.counters.throttled - before.counters.throttled
    if periods < 0 or throttled < 0:
        return WENT_BACK
    # The scheduler counts no period while the group sleeps: then nothing was throttled either.
    return min(100.0, 100 * throttled / periods) if periods else 0.0


def _first_accounted(group: Group, directory: str) -> tuple[int | None, dict[str, int]]:
    """Return usage and statistics of `directory`, or of the nearest group above that has them."""
    for candidate in group.directories[group.directories.index(directory) :]:
        usage = memory_usage(group.version, candidate)
        if usage is not None:
            return usage, memory_statistics(candidate)
    return None, {}
