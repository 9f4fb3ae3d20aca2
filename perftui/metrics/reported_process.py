"""One process of a service as the readers of its reports know it."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping

import msgspec

from perftui.metrics.report import CacheCounts, OperationCounts

LONGEST_HOST = 40
"""Characters of the host's name in an instance id."""


class ReportedProcess:
    """A process by its instance id, and what it has counted itself.

    Counts and times of what a forked process inherited are taken off: its parent reports them.
    `zero` is the moment of the monotonic clock at which the counts were zero, `started` the same
    by the clock of the host.
    """

    def __init__(self, zero: float) -> None:
        self.pid = os.getpid()
        self.host = host_name()
        self.instance = new_instance(self.host, self.pid)
        self.zero = zero
        self.started = time.time() - (time.monotonic() - zero)
        self.reporters = 0
        """How many Reporters report as this instance now; the last of them says farewell."""
        self.said_farewell = False
        self._operations: Mapping[str, OperationCounts] = {}

    def inherit(self, operations: Mapping[str, OperationCounts]) -> None:
        """Take these counts for the parent's."""
        self._operations = operations

    def own_operations(self, counted: dict[str, OperationCounts]) -> dict[str, OperationCounts]:
        """Return what this process counted itself, without operations it never called."""
        if not self._operations:
            return counted
        own = {}
        for name, counts in counted.items():
            inherited = self._operations.get(name)
            rest = counts if inherited is None else _without(counts, inherited)
            if rest.count or rest.cancelled:
                own[name] = rest
        return own


_HELD = frozenset({"memory_items", "memory_size", "states"})
"""Fields of CacheCounts that tell what is, not what has happened."""
_COUNTED = tuple(name for name in CacheCounts.__struct_fields__ if name not in _HELD)


def own_lookups(counts: CacheCounts, inherited: CacheCounts) -> CacheCounts:
    """Return the look-ups since `inherited` was counted; what the memory tier holds is as it is."""
    now, then = msgspec.structs.asdict(counts), msgspec.structs.asdict(inherited)
    own = {name: now[name] - (then[name] or 0) for name in _COUNTED if now[name] is not None}
    return msgspec.structs.replace(counts, **own) if min(own.values()) >= 0 else counts


def any_counted(counts: CacheCounts) -> bool:
    """Tell whether anything happened in a namespace, or memory holds something of it."""
    return any(msgspec.structs.astuple(msgspec.structs.replace(counts, states=())))


def _without(counts: OperationCounts, inherited: OperationCounts) -> OperationCounts:
    buckets = counts.buckets
    if len(buckets) == len(inherited.buckets):
        buckets = tuple([now - then for now, then in zip(buckets, inherited.buckets, strict=True)])
    own = OperationCounts(
        counts.count - inherited.count,
        counts.failures - inherited.failures,
        max(0.0, counts.seconds - inherited.seconds),
        buckets,
        counts.cancelled - inherited.cancelled,
    )
    # Counts that went back began again, as they do when somebody clears the metrics.
    least = min(own.count, own.failures, own.cancelled, *buckets)
    return own if least >= 0 else counts


def host_name() -> str:
    """Return the name of this host, as text that can be written as UTF-8."""
    return socket.gethostname().encode("utf-8", "backslashreplace").decode() or "localhost"


def new_instance(host: str, pid: int) -> str:
    """Return an id that no other process has.

    In containers every host may have the same name and every process the id 1, hence the random
    part. There is no slash in it: it stands behind the last one in the index.
    """
    return f"{host[:LONGEST_HOST].replace('/', '_')}:{pid}:{secrets.token_hex(4)}"


_processes: dict[tuple[str, int, str], ReportedProcess] = {}
_lock = threading.Lock()


def reported_process(service: str, counter: int, place: str, zero: float) -> ReportedProcess:
    """Return what this process is as a reporter of a service's counter to a place.

    The same for all Reporters that would report the same counts to the same keys, so that nothing
    is counted twice, and after a stop and a new start.
    """
    with _lock:
        key = (service, counter, place)
        known = _processes.get(key)
        if known is None:
            known = _processes[key] = ReportedProcess(zero)
        return known


def forget_parent() -> None:
    """Make this process, which was just forked, another one than its parent."""
    global _lock
    _lock = threading.Lock()
    _processes.clear()


def process_zero() -> float:
    """Return when this process began, as a moment of the monotonic clock."""
    import psutil

    try:
        age = time.time() - float(psutil.Process().create_time())
    except psutil.Error:
        age = 0.0
    return time.monotonic() - max(0.0, age)
