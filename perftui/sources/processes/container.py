"""Names the container or systemd unit of a process from its control group.

The path of the group is what the runtimes have in common, see cgroups(7). The forms are those of
Docker, containerd, CRI-O, Podman and Kubernetes with both cgroup drivers (cgroupfs and systemd),
LXC, systemd-nspawn and Amazon ECS.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from perftui.sources.cgroup.layout import parse_memberships

SHORT_ID = 12
"""Digits of a container's id that the runtimes show, and accept."""

RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
    "libpod-payload": "podman",
    "libpod_parent": "podman",
    "podman": "podman",
    "k8s.io": "containerd",
    "default": "containerd",
    "ecs": "ecs",
    "lxc": "lxc",
}

_ID = re.compile(r"(?:(?P<runtime>[a-z][a-z0-9_.-]*?)[-:])?(?P<id>[0-9a-f]{64})(?:\.scope)?")
_ECS = re.compile(r"(?P<id>[0-9a-f]{32}-\d+)")
_UNCONVERTED = re.compile(r"[^:]+:(?P<runtime>[a-z-]+):(?P<id>[0-9a-f]{64})")
_LXC = re.compile(r"/lxc(?:\.payload)?[./](?P<name>[^/]+)")
_MACHINE = re.compile(
    r"/machine\.slice/(?:machine-(?P<scope>[^/]+)\.scope|systemd-nspawn@(?P<unit>[^/]+)\.service)"
)
_UNIT = re.compile(r"(?P<name>.+)\.(?P<kind>service|scope)")
_HEX = re.compile(r"\\x([0-9a-fA-F]{2})")


class Container(NamedTuple):
    """How a container is called, or with `is_container` false a unit of systemd; empty: none."""

    name: str
    is_container: bool


NONE = Container("", False)


def container_of(text: str) -> Container:
    """Return the container that the lines of /proc/PID/cgroup tell of, else the systemd unit."""
    paths = list(dict.fromkeys(membership.path for membership in parse_memberships(text)))
    for path in paths:
        found = _container(path)
        if found:
            return Container(found, True)
    units = [unit for path in paths if (unit := _unit(path))]
    return Container(units[0], False) if units else NONE


def _container(path: str) -> str:
    names = path.split("/")
    # The innermost id: containers run in containers.
    for index in range(len(names) - 1, -1, -1):
        match = (
            _ID.fullmatch(names[index])
            or _UNCONVERTED.fullmatch(names[index])
            or (_ECS.fullmatch(names[index]) if "ecs" in names else None)
        )
        if match is not None:
            runtime = match.groupdict().get("runtime") or _runtime_above(names[:index])
            kubernetes = any("kubepods" in name for name in names[:index])
            kind = "k8s" if kubernetes else RUNTIMES.get(runtime, runtime or "container")
            return f"{kind} {match['id'][:SHORT_ID]}"
    machine = _MACHINE.search(path)
    if machine is not None:
        return f"nspawn {_unescape(machine['scope'] or machine['unit'])}"
    lxc = _LXC.search(path)
    return f"lxc {lxc['name']}" if lxc is not None else ""


def _runtime_above(names: list[str]) -> str:
    return next((name for name in reversed(names) if name in RUNTIMES), "")


def _unit(path: str) -> str:
    for name in reversed(path.split("/")):
        match = _UNIT.fullmatch(name)
        if match is not None:
            return _unescape(match["name"])
    return ""


def _unescape(name: str) -> str:
    """Undo the escapes of systemd.unit(5) as far as they stand for characters."""
    return _HEX.sub(lambda match: chr(int(match[1], 16)), name)
