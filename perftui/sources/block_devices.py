"""Which block devices to count, so that no byte is counted twice."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

STACKED_OR_MEMORY = re.compile(r"(loop|ram|zram|dm-|md|zd)\d")


def whole_disks(names: Iterable[str], sys_block: str = "/sys/block") -> frozenset[str]:
    """Return the names that are real whole disks.

    Left out are partitions, disks in memory, and devices that pass their traffic on to other
    devices in the list: device mapper, RAID, ZFS volumes, the hidden paths of a multipath disk.
    """
    listed = set(names)
    candidates = {name for name in listed if not STACKED_OR_MEMORY.match(name)}
    if not os.path.isdir(sys_block):
        return frozenset(name for name in candidates if not _looks_like_partition(name, listed))
    return frozenset(name for name in candidates if _is_whole_disk(name, sys_block))


def _is_whole_disk(name: str, sys_block: str) -> bool:
    # sysfs writes the slash of names like cciss/c0d0 as an exclamation mark.
    directory = os.path.join(sys_block, name.replace("/", "!"))
    if not os.path.isdir(directory):
        return False
    try:
        if os.listdir(os.path.join(directory, "slaves")):
            return False
    except OSError:
        pass
    try:
        with open(os.path.join(directory, "hidden"), encoding="ascii") as file:
            return file.read().strip() != "1"
    except OSError:
        return True


def _looks_like_partition(name: str, listed: set[str]) -> bool:
    parent = re.sub(r"p?\d+$", "", name)
    return parent != name and parent in listed
