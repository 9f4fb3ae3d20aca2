"""Turns the bottlenecks of a snapshot into alerts that remember when they began."""

from __future__ import annotations

import msgspec

from perftui.analysis.bottlenecks import SLOW_FACTOR, high_usage, slow_operations
from perftui.analysis.server_alerts import ORIGIN, server_alerts
from perftui.snapshot import Absent, Alert, Service, Severity, Snapshot

_SERVICE_PANE = "operations"
_RESOURCE_PANE = "resources"


class AlertBook:
    """Keeps the begin of each firing alert from tick to tick."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def update(self, snapshot: Snapshot) -> tuple[Alert, ...]:
        """Return the alerts that fire now, critical first, then the oldest first.

        Those of a Prometheus server join as they are, with the begin that the server tells.
        """
        unique: dict[tuple[str, str], Alert] = {}
        for alert in [*_resource_alerts(snapshot), *_operation_alerts(snapshot)]:
            # A service that reports and is scraped as well is slow once.
            unique.setdefault((alert.rule, alert.subject), alert)
        found = unique.values()
        since = {
            (alert.rule, alert.subject): self._since.get((alert.rule, alert.subject), snapshot.time)
            for alert in found
        }
        self._since = since
        dated = [
            msgspec.structs.replace(alert, since=since[alert.rule, alert.subject])
            for alert in found
        ]
        if not isinstance(snapshot.prometheus, Absent):
            dated += server_alerts(snapshot.prometheus)
        dated.sort(key=lambda alert: (alert.severity is not Severity.CRITICAL, alert.since))
        return tuple(dated)


def _usage(snapshot: Snapshot) -> tuple[dict[str, float], dict[str, str]]:
    """Return CPU and memory percent, of the control group's limit where it has one."""
    usage: dict[str, float] = {}
    scope: dict[str, str] = {}
    resources = snapshot.resources
    if not isinstance(resources.cpu, Absent) and not isinstance(resources.cpu.percent, Absent):
        usage["cpu"], scope["cpu"] = resources.cpu.percent, "host"
    if not isinstance(resources.memory, Absent):
        usage["memory"], scope["memory"] = resources.memory.percent, "host"
    if not isinstance(resources.cgroup, Absent):
        if not isinstance(resources.cgroup.cpu_percent, Absent):
            usage["cpu"], scope["cpu"] = resources.cgroup.cpu_percent, "cgroup limit"
        if not isinstance(resources.cgroup.memory_percent, Absent):
            usage["memory"], scope["memory"] = resources.cgroup.memory_percent, "cgroup limit"
    return usage, scope


def _resource_alerts(snapshot: Snapshot) -> list[Alert]:
    usage, scope = _usage(snapshot)
    alerts = []
    for bottleneck in high_usage(usage):
        resource = "memory" if bottleneck["type"] == "high_memory" else "cpu"
        value, threshold = bottleneck["usage"], bottleneck["threshold"]
        label = "memory" if resource == "memory" else "CPU"
        hint = (
            "8 Processes sorted by memory shows the largest; beyond the limit the kernel kills"
            if resource == "memory"
            else "select the busiest Python process in 8 Processes, press p to profile it"
        )
        alerts.append(
            Alert(
                rule=bottleneck["type"],
                severity=Severity.CRITICAL if resource == "memory" else Severity.WARNING,
                subject=scope[resource],
                value=value,
                threshold=threshold,
                unit="percent",
                since=snapshot.time,
                message=f"{label} {value:.1f} %, above {threshold:.0f} %",
                hint=hint,
                pane=_RESOURCE_PANE,
            )
        )
    return alerts


def _operation_alerts(snapshot: Snapshot) -> list[Alert]:
    # What a Prometheus server watches is judged by its own rules, which know more: a fleet has so
    # many operations that the comparison with peers would always find some.
    return [
        alert
        for service in snapshot.all_services
        if service.origin != ORIGIN
        for alert in _slow(service, snapshot.time)
    ]


def _slow(service: Service, now: float) -> list[Alert]:
    counts = {operation.name: operation.count for operation in service.operations}
    means = {o.name: o.mean for o in service.operations if not isinstance(o.mean, Absent)}
    alerts = []
    for bottleneck in slow_operations(means):
        name, seconds, threshold = (bottleneck[key] for key in ("operation", "time", "threshold"))
        ratio = SLOW_FACTOR * seconds / threshold
        alerts.append(
            Alert(
                rule="slow_operation",
                severity=Severity.WARNING,
                subject=f"{service.name}/{name}",
                value=seconds,
                threshold=threshold,
                unit="seconds",
                since=now,
                message=(
                    f"takes {seconds * 1000:.0f} ms on average, "
                    f"{ratio:.1f} x the mean of its peers (n={counts[name]})"
                ),
                hint="profile a worker of the service: select it in 8 Processes, press p",
                pane=_SERVICE_PANE,
            )
        )
    return alerts
