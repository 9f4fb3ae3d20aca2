"""The figures of one control group: limits, usage and throttling of both versions.

The formats are those of the kernel's Documentation/admin-guide/cgroup-v2.rst and
Documentation/admin-guide/cgroup-v1/memory.rst, and Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from perftui.sources.proc_file import read_proc_file

NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of the page size, whatever that is."""

GONE = frozenset((errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.EOPNOTSUPP, errno.ESRCH))


class CpuCounters(NamedTuple):
    """CPU seconds, and scheduler periods elapsed and throttled; None where it is not counted."""

    seconds: float | None
    periods: int | None
    throttled: int | None


def read_text(path: str) -> str | None:
    """Return the content of a control file, None when it does not exist (any more).

    Raises OSError for anything else, PermissionError above all.
    """
    try:
        return read_proc_file(path).decode("ascii", "replace")
    except OSError as error:
        if error.errno in GONE:
            return None
        raise


def parse_flat(text: str) -> dict[str, int]:
    """Return the `name number` lines of a flat keyed file, other lines left out."""
    numbers = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdecimal():
            numbers[name] = int(value)
    return numbers


def parse_limit(text: str) -> int | None:
    """Return a limit in bytes, None for `max`, -1 and the version 1 sentinel."""
    text = text.strip()
    if not text.isdecimal():
        return None
    limit = int(text)
    return None if limit >= NO_LIMIT else limit


def parse_quota(quota: str, period: str) -> float | None:
    """Return the CPU quota in cores, None where there is none (`max` or -1)."""
    if not quota.isdecimal() or not period.isdecimal() or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def cpu_limit(version: int, directory: str) -> float | None:
    """Return the quota of this one group in cores; which CPUs it may use (cpuset) is no quota."""
    if version == 2:
        words = (read_text(os.path.join(directory, "cpu.max")) or "").split()
        return parse_quota(words[0], words[1]) if len(words) == 2 else None
    quota = read_text(os.path.join(directory, "cpu.cfs_quota_us")) or ""
    if not quota.strip().isdecimal():
        return None
    period = read_text(os.path.join(directory, "cpu.cfs_period_us")) or ""
    return parse_quota(quota.strip(), period.strip())


def cpu_counters(version: int, directory: str, usage_directory: str | None) -> CpuCounters:
    """Return what a group has used so far; version 1 counts usage in a hierarchy of its own."""
    numbers = parse_flat(read_text(os.path.join(directory, "cpu.stat")) or "")
    periods, throttled = numbers.get("nr_periods"), numbers.get("nr_throttled")
    if version == 2:
        used = numbers.get("usage_usec")
        return CpuCounters(None if used is None else used / 1e6, periods, throttled)
    text = None
    if usage_directory is not None:
        text = read_text(os.path.join(usage_directory, "cpuacct.usage"))
    seconds = int(text) / 1e9 if text is not None and text.strip().isdecimal() else None
    return CpuCounters(seconds, periods, throttled)


def memory_limit(version: int, directory: str) -> int | None:
    """Return the hard limit of this one group in bytes, None where there is none."""
    name = "memory.max" if version == 2 else "memory.limit_in_bytes"
    return parse_limit(read_text(os.path.join(directory, name)) or "")


def memory_statistics(directory: str) -> dict[str, int]:
    """Return the numbers of memory.stat, empty where the group has none."""
    return parse_flat(read_text(os.path.join(directory, "memory.stat")) or "")


def memory_usage(version: int, directory: str) -> int | None:
    """Return the bytes charged to this group, file cache included.

    None when it is not accounted: the root group of version 2, or a group whose parent does not
    hand the memory controller on.
    """
    name = "memory.current" if version == 2 else "memory.usage_in_bytes"
    text = (read_text(os.path.join(directory, name)) or "").strip()
    return int(text) if text.isdecimal() else None


def working_set(version: int, usage: int, statistics: dict[str, int]) -> int:
    """Return the bytes that containers are billed for: usage less inactive file cache."""
    # Version 1 keeps the figures of child groups apart; `total_` includes them, like the usage.
    cache = "inactive_file" if version == 2 else "total_inactive_file"
    return max(0, usage - statistics.get(cache, 0))


def inherited_memory_limit(statistics: dict[str, int]) -> int | None:
    """Return the limit a version 1 group gets from any group above it, visible or not."""
    limit = statistics.get("hierarchical_memory_limit")
    return None if limit is None else parse_limit(str(limit))


def oom_kills(version: int, directory: str) -> int | None:
    """Return the processes killed in this group and below it at a memory limit, None if unknown."""
    name = "memory.events" if version == 2 else "memory.oom_control"
    return parse_flat(read_text(os.path.join(directory, name)) or "").get("oom_kill")
