"""Counters of the kernel's memory management that tell of distress."""

from __future__ import annotations

from perftui.snapshot import Absent, State
from perftui.sources.proc_file import read_proc_file

WANTED = (b"pswpin ", b"pswpout ", b"oom_kill ")
NO_OOM_COUNT = Absent(
    State.UNAVAILABLE, "this system does not count killed processes (needs Linux 4.13)"
)
NO_SWAP_COUNT = Absent(State.UNAVAILABLE, "this system does not count pages that are swapped")


def read_vmstat(path: str = "/proc/vmstat") -> dict[str, int]:
    """Return pages swapped in and out and processes killed since the start, of those it counts.

    See proc_vmstat(5). Empty where the file is missing or may not be read: a container may hide it.
    """
    try:
        content = read_proc_file(path)
    except OSError:
        return {}
    return parse_vmstat(content)


def parse_vmstat(content: bytes) -> dict[str, int]:
    """Return the counters this program uses of a vmstat file; lines it cannot read are left out."""
    found = {}
    for line in content.splitlines():
        if line.startswith(WANTED):
            name, _, value = line.partition(b" ")
            if value.strip().isdigit():
                found[name.decode("ascii")] = int(value)
    return found
