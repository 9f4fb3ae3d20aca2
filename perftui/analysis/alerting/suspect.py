"""Which Python process on this machine is behind an alert, so that it can be profiled."""

from __future__ import annotations

import re
from typing import NamedTuple

from perftui.analysis.alerting.rules.evidence import instances_by_cpu
from perftui.analysis.alerting.rules.operations import judged_services
from perftui.snapshot import Absent, Alert, Instance, Maybe, Process, Service, Snapshot, State

CHOOSE = "choose a process with p in 3 Top calls"

# As rules write a process: its name and its id.
_NAMED = re.compile(r"\((\d{1,9})\)")


class Suspect(NamedTuple):
    """A process by its id, and what it is called."""

    pid: int
    name: str


def suspect_of(alert: Alert, snapshot: Snapshot) -> Maybe[Suspect]:
    """Return the process behind an alert: the one it names, the busiest of the service it is
    about, or the Python process its evidence names first; else why there is none."""
    service = _service(alert, snapshot)
    if service is not None:
        return _of_service(alert, service, snapshot)
    table = snapshot.processes
    rows = {} if isinstance(table, Absent) else {row.pid: row for row in table.rows}
    others: list[Process] = []
    for text in (alert.subject, *alert.evidence):
        for number in _NAMED.findall(text):
            row = rows.get(int(number))
            if row is None:
                continue
            if row.python:
                return Suspect(row.pid, row.name)
            others.append(row)
    if others:
        first = others[0]
        reason = f"{first.name} ({first.pid}) is behind it, which is no Python program"
        return Absent(State.UNAVAILABLE, reason)
    return Absent(State.UNAVAILABLE, "no process is known to be behind it", CHOOSE)


def _service(alert: Alert, snapshot: Snapshot) -> Service | None:
    """Return the service an alert is about, by its group or the instance it names."""
    services = judged_services(snapshot)
    for service in services:
        if service.name in (alert.group, alert.subject):
            return service
    for service in services:
        if alert.subject.startswith(f"{service.name}/"):
            return service
    for service in services:
        if any(instance.id == alert.subject for instance in service.instances):
            return service
    return None


def _of_service(alert: Alert, service: Service, snapshot: Snapshot) -> Maybe[Suspect]:
    here = "" if isinstance(snapshot.host, Absent) else snapshot.host.name
    known = {instance.id: instance for instance in service.instances if instance.state is State.OK}
    local = {name: one for name, one in known.items() if one.host == here}
    named = known.get(alert.subject)
    if named is not None and named.host != here:
        return _elsewhere(service, {named.host})
    if not local:
        return _elsewhere(service, {instance.host for instance in known.values()})
    wanted = [alert.subject, *_slowest_first(alert, service)]
    wanted += [instance.id for _, instance in instances_by_cpu(service)]
    for name in (*wanted, *local):
        instance = local.get(name)
        if instance is not None and not isinstance(instance.pid, Absent):
            return Suspect(instance.pid, _name(service, instance))
    return Absent(
        State.UNAVAILABLE, f"the processes of {service.name} do not tell their ids", CHOOSE
    )


def _slowest_first(alert: Alert, service: Service) -> list[str]:
    """Return the instances that an operation is slowest in, where that is looked at."""
    operation = alert.subject.removeprefix(f"{service.name}/")
    for detail in service.details:
        if detail.operation == operation and not isinstance(detail.instances, Absent):
            told = [
                (share.operation.p95.value, share.instance)
                for share in detail.instances
                if not isinstance(share.operation.p95, Absent)
            ]
            return [name for _, name in sorted(told, reverse=True)]
    return []


def _elsewhere(service: Service, hosts: set[str]) -> Absent:
    named = sorted(host for host in hosts if host)
    if not named:
        reason = f"no live process of {service.name} is known on this machine"
        return Absent(State.UNAVAILABLE, reason, CHOOSE)
    where = ", ".join(named[:3])
    fix = f"perftui profile PID on {named[0]}"
    return Absent(State.UNAVAILABLE, f"{service.name} runs on {where}, not on this machine", fix)


def _name(service: Service, instance: Instance) -> str:
    return f"{instance.id} of {service.name}" if instance.id else service.name
