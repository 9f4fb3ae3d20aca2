"""Where the control groups of a process are: /proc/PID/cgroup joined with the mount table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

DELETED = " (deleted)"
V2 = "unified"
"""Stands for all controllers of the version 2 hierarchy."""


class Membership(NamedTuple):
    """One line of /proc/PID/cgroup: the group of a process in one hierarchy, see cgroups(7)."""

    version: int
    controllers: frozenset[str]
    path: str


class CgroupMount(NamedTuple):
    """A mounted hierarchy: `root` is the group that is seen at `point`."""

    version: int
    controllers: frozenset[str]
    root: str
    point: str


class Group(NamedTuple):
    """One group of a process: its directories from the group itself up to the mount point."""

    version: int
    path: str
    directories: tuple[str, ...]


def parse_memberships(text: str) -> tuple[Membership, ...]:
    """Return the lines `hierarchy:controllers:path` of /proc/PID/cgroup, unknown lines left out."""
    found = []
    for line in text.splitlines():
        number, separator, rest = line.partition(":")
        controllers, second, path = rest.partition(":")
        if not separator or not second or not path.startswith("/"):
            continue
        path = path.removesuffix(DELETED)
        if number == "0" and not controllers:
            found.append(Membership(2, frozenset((V2,)), path))
        else:
            found.append(Membership(1, frozenset(controllers.split(",")), path))
    return tuple(found)


def parse_mounts(text: str) -> tuple[CgroupMount, ...]:
    """Return the control group mounts of /proc/PID/mountinfo, see proc_pid_mountinfo(5)."""
    found = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if not separator or len(fields) < 5 or len(kind) < 3:
            continue
        root, point = _unescape(fields[3]), _unescape(fields[4])
        if kind[0] == "cgroup2":
            found.append(CgroupMount(2, frozenset((V2,)), root, point))
        elif kind[0] == "cgroup":
            found.append(CgroupMount(1, frozenset(kind[2].split(",")), root, point))
    return tuple(found)


def find_group(
    controller: str, memberships: Sequence[Membership], mounts: Sequence[CgroupMount]
) -> Group | None:
    """Return the group that accounts `controller`, None when it cannot be seen from here.

    A controller that is attached to a version 1 hierarchy is absent from version 2, so version 1
    decides where a system has both.
    """
    in_version_1 = any(controller in membership.controllers for membership in memberships)
    wanted = controller if in_version_1 else V2
    for membership in memberships:
        if wanted in membership.controllers:
            for directories in _directories(wanted, membership, mounts):
                return Group(membership.version, membership.path, directories)
    return None


def _directories(
    controller: str, membership: Membership, mounts: Sequence[CgroupMount]
) -> Iterator[tuple[str, ...]]:
    """Yield, for each mount that shows the group, its directories up to the mount point."""
    for mount in mounts:
        if mount.version != membership.version or controller not in mount.controllers:
            continue
        relative = _below(mount.root, membership.path)
        if relative is None:
            continue
        point = mount.point.rstrip("/")
        names = [name for name in relative.split("/") if name]
        yield tuple("/".join((point, *names[:length])) for length in range(len(names), -1, -1))


def _below(root: str, path: str) -> str | None:
    """Return `path` relative to the mounted `root`, None when that cannot be told.

    Outside of the own control group namespace both are written with leading `..`, and what is
    between them stays hidden: guessing would show the machine's figures as the container's.
    """
    if ".." in path.split("/"):
        return None
    if root == "/":
        return path
    if path == root or path.startswith(root + "/"):
        return path[len(root) :]
    return None


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
