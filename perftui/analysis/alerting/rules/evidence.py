"""What stands behind an alert, in lines that a person can follow up."""

from __future__ import annotations

import heapq

from perftui.format import measure
from perftui.snapshot import Absent, Instance, Process, Service, Snapshot

LINES, CALLS = 3, 5


def top_by_cpu(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the processes that use most CPU time, empty where the table is not read."""
    if isinstance(snapshot.processes, Absent):
        return ()
    busy = heapq.nlargest(LINES, snapshot.processes.rows, key=_cpu)
    return tuple(
        f"{row.name} ({row.pid}) uses {_cpu(row):.0f} % of a core" for row in busy if _cpu(row) >= 1
    )


def top_by_memory(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the processes that hold most memory, empty where the table is not read."""
    if isinstance(snapshot.processes, Absent):
        return ()
    large = heapq.nlargest(LINES, snapshot.processes.rows, key=lambda row: row.memory_rss)
    return tuple(
        f"{row.name} ({row.pid}) holds {measure(row.memory_rss, 'bytes')}" for row in large
    )


def top_calls(snapshot: Snapshot, pids: frozenset[int] | None = None) -> tuple[str, ...]:
    """Return the functions that the profiled process spends its time in, if it is one of `pids`."""
    calls = snapshot.top_calls
    if isinstance(calls, Absent) or (pids is not None and calls.pid not in pids):
        return ()
    return tuple(
        f"{call.function} ({call.file}:{call.line}) takes {call.own_percent:.0f} % of the CPU time "
        f"of process {calls.pid}"
        for call in calls.calls[:CALLS]
    )


def instances_by_cpu(service: Service) -> list[tuple[float, Instance]]:
    """Return CPU percent and process of a service's live processes, the busiest first."""
    found = [
        (instance.cpu_percent, instance)
        for instance in service.instances
        if not isinstance(instance.cpu_percent, Absent)
    ]
    return heapq.nlargest(LINES, found, key=lambda pair: pair[0])


def busiest(service: Service) -> tuple[str, ...]:
    """Return the busiest processes of a service in words."""
    return tuple(
        f"{instance.id} uses {percent:.0f} % of a core"
        for percent, instance in instances_by_cpu(service)
    )


def slowest_instances(service: Service, operation: str) -> tuple[str, ...]:
    """Return which processes an operation is slowest in, if it is the one that is looked at."""
    for detail in service.details:
        if detail.operation == operation and not isinstance(detail.instances, Absent):
            told = [
                (share.operation.p95.value, share.instance)
                for share in detail.instances
                if not isinstance(share.operation.p95, Absent)
            ]
            return tuple(
                f"p95 {measure(seconds, 'seconds')} in process {instance}"
                for seconds, instance in heapq.nlargest(LINES, told)
            )
    return ()


def pids_of(service: Service) -> frozenset[int]:
    """Return the ids of a service's processes, as far as they are known."""
    return frozenset(
        instance.pid for instance in service.instances if not isinstance(instance.pid, Absent)
    )


def _cpu(row: Process) -> float:
    return 0.0 if isinstance(row.cpu_percent, Absent) else row.cpu_percent
