"""Finds the descendants of a process.

/proc/PID/task/TID/children, see proc_tid_children(5), where the kernel has it; else the parents of
all processes.
"""

from __future__ import annotations

import contextlib
import os

MOST_PROCESSES = 1000
"""Processes of a tree that are looked for: more are no service but a mistake."""


def process_tree(pid: int) -> list[int]:
    """Return a process and all that descend from it, parents before their children.

    Empty when there is no such process; the process alone where there is no /proc.
    """
    if not os.path.isdir("/proc/self"):
        return [pid]
    if not os.path.isdir(f"/proc/{pid}/task"):
        return []
    parents = None if _tells_children() else _parents()
    tree = [pid]
    seen = {pid}
    for member in tree:
        children = _children(member) if parents is None else parents.get(member, [])
        for child in children:
            if child not in seen and len(tree) < MOST_PROCESSES:
                seen.add(child)
                tree.append(child)
    return tree


def _tells_children() -> bool:
    return os.path.exists("/proc/thread-self/children")


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            # A thread that ended since leaves its children to another one.
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    return sorted(found)


def _parents() -> dict[int, list[int]]:
    """Return the children of every process, from the parent that each process names."""
    found: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue
        # The name in brackets may hold spaces and brackets of its own.
        fields = text[text.rfind(b")") + 2 :].split()
        if len(fields) > 1:
            found.setdefault(int(fields[1]), []).append(int(name))
    return found
