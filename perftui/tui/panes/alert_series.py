"""Which series of the history tells the course of what an alert is about."""

from __future__ import annotations

from typing import NamedTuple

from perftui.assembly import alert_series, cache_series, operation_series
from perftui.quantities import YES_NO
from perftui.snapshot import Alert, AlertEvent, Service, Snapshot


class AlertSeries(NamedTuple):
    """A series, its label, and what a value of the alert is multiplied with; 0: not comparable."""

    name: str
    label: str
    scale: float = 1.0


HIT_RATIO = "R24"
_CPU = AlertSeries("cpu.percent", "CPU %")
_MEMORY = AlertSeries("memory.percent", "memory %")
_BY_RULE = {
    "R09": _MEMORY,
    "R10": _CPU,
    "R13b": AlertSeries("cpu.iowait", "waiting for disks %"),
    "R25b": AlertSeries("redis.latency", "answer of Redis s", 0.0),
    "R14": AlertSeries("cgroup.throttled", "CPU throttled %"),
}
_OF_LIMIT = {
    _CPU: AlertSeries("cgroup.cpu", "CPU % of the limit"),
    _MEMORY: AlertSeries("cgroup.memory", "memory % of the limit"),
}
_OF_OPERATION = {
    # The values are ratios, so no threshold can be drawn into the course of the seconds.
    "R01": ("p95", "p95 ms", 0.0),
    "R02": ("p95", "p95 ms", 0.0),
    "R03": ("p95", "p95 ms", 0.0),
    "R04": ("p95", "p95 ms", 0.0),
    "R07": ("errors", "errors %", 1.0),
}


def find_series(alert: Alert | AlertEvent, snapshot: Snapshot) -> tuple[AlertSeries, ...]:
    """Return the series that may tell the course, the one that reaches back furthest first.

    The last one is of the value itself, kept since the alert began; a yes or no has no course.
    """
    if alert.unit == YES_NO:
        return ()
    label = f"value in {alert.unit}" if alert.unit else "value"
    own = (AlertSeries(alert_series(alert.fingerprint), label),)
    if alert.rule in _OF_OPERATION:
        found = find_operation(alert.subject, snapshot)
        if found is None:
            return own
        what, label, scale = _OF_OPERATION[alert.rule]
        return (AlertSeries(operation_series(*found, what), label, scale), *own)
    if alert.rule == HIT_RATIO:
        cache = find_namespace(alert.subject, snapshot)
        # The value is a multiple of the usual ratio, so no threshold can be drawn.
        if cache is not None:
            return (AlertSeries(cache_series(*cache, "overall"), "hit ratio %", 0.0), *own)
        return (AlertSeries("redis.hit_percent", "hit ratio %", 0.0), *own)
    series = _BY_RULE.get(alert.rule)
    if series is None:
        return own
    if "cgroup" in alert.subject:
        series = _OF_LIMIT.get(series, series)
    return (series, *own)


def find_namespace(subject: str, snapshot: Snapshot) -> tuple[Service, str] | None:
    """Return the service and the namespace of what is called `service cache namespace`."""
    for service in snapshot.all_services:
        for cache in service.caches:
            if subject == f"{service.name} cache {cache.namespace}".rstrip():
                return service, cache.namespace
    return None


def find_operation(subject: str, snapshot: Snapshot) -> tuple[Service, str] | None:
    """Return the service and the name of the operation that is called `service/operation`."""
    for service in snapshot.all_services:
        if not subject.startswith(f"{service.name}/"):
            continue
        name = subject[len(service.name) + 1 :]
        if any(operation.name == name for operation in service.operations):
            return service, name
    return None
