"""Parser of /proc/PID/stat, see proc_pid_stat(5)."""

from __future__ import annotations

from typing import NamedTuple

KERNEL_THREAD_FLAG = 0x00200000
"""PF_KTHREAD of the kernel's include/linux/sched.h."""


class ProcessStat(NamedTuple):
    """The fields in use; times in clock ticks, `start_ticks` since boot, `rss_pages` in pages.

    `start_stack` is an address that changes when the process executes another program; it is 0
    where the reader may not see it.
    """

    name: str
    state: str
    ppid: int
    kernel_thread: bool
    cpu_ticks: int
    threads: int
    start_ticks: int
    rss_pages: int
    start_stack: int


def parse_stat(raw: bytes) -> ProcessStat:
    """Return the fields of one stat file.

    The name stands in parentheses and may itself hold parentheses, spaces, newlines and bytes that
    are not UTF-8 (they become backslash escapes); the last closing parenthesis ends it, since only
    numbers follow. Raises ValueError for anything that is not a stat file.
    """
    try:
        opening, closing = raw.index(b"("), raw.rindex(b")")
        fields = raw[closing + 1 :].split(None, 26)
        return ProcessStat(
            name=raw[opening + 1 : closing].decode("utf-8", "backslashreplace"),
            state=fields[0].decode("ascii"),
            ppid=int(fields[1]),
            kernel_thread=bool(int(fields[6]) & KERNEL_THREAD_FLAG),
            cpu_ticks=int(fields[11]) + int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            rss_pages=int(fields[21]),
            start_stack=int(fields[25]),
        )
    except (ValueError, IndexError) as error:
        raise ValueError("not the content of a /proc/PID/stat file") from error
