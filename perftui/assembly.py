"""Puts the newest readings of all sources together into one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from perftui.snapshot import (
    Absent,
    Maybe,
    MonitorCost,
    Pool,
    Resources,
    Service,
    Snapshot,
    SourceStatus,
    State,
)

if TYPE_CHECKING:
    from perftui.sources.host import HostReading

T = TypeVar("T")

MOST_OPERATIONS = 100
"""Operations whose course is kept: three series each."""

MOST_SERVERS = 40
"""Servers whose courses are kept, those with the most requests."""

MOST_CACHES = 40
"""Namespaces of caches whose course is kept: two series each."""

MOST_ALERTS = 50
"""Alerts whose course is kept for as long as they last."""

NO_REDIS = Absent(
    State.NOT_COLLECTED,
    "no Redis is configured",
    "start with --redis redis://HOST:PORT or set REDIS_URL",
)
SWITCHED_OFF = Absent(State.NOT_COLLECTED, "switched off by monitor.sources in the configuration")

NO_SCRAPE = Absent(
    State.NOT_COLLECTED,
    "no page of metrics is configured",
    "start with --scrape http://HOST:PORT/metrics, or with --discover",
)
NO_PROMETHEUS = Absent(
    State.NOT_COLLECTED,
    "no Prometheus server is configured",
    "start with --prometheus http://HOST:9090",
)
NO_HAPROXY = Absent(
    State.NOT_COLLECTED,
    "no HAProxy socket is configured",
    "start with --haproxy /run/haproxy/admin.sock",
)

NOT_CONFIGURED = {
    "redis": NO_REDIS,
    "redis_detail": NO_REDIS,
    "services": NO_REDIS,
    "pools": NO_REDIS,
    "queries": NO_REDIS,
    "haproxy": NO_HAPROXY,
    "scrape": NO_SCRAPE,
    "prometheus": NO_PROMETHEUS,
}
"""Why a source has nothing to read, unless the settings name something."""


def assemble(
    version: int,
    time: float,
    monotonic: float,
    values: Mapping[str, Any],
    statuses: tuple[SourceStatus, ...],
    monitor: MonitorCost,
    configured: frozenset[str],
) -> Snapshot:
    """Return the snapshot of `values`, the newest reading or absence of each source by name.

    `configured` are the sources that the settings give something to read.
    """

    def value(name: str) -> Any:
        if name in values:
            return values[name]
        return SWITCHED_OFF if name in configured else NOT_CONFIGURED.get(name, SWITCHED_OFF)

    host: Maybe[HostReading] = value("host")
    cgroup = value("cgroup")
    if isinstance(host, Absent):
        resources = Resources(host, host, host, host, host, host, cgroup)
    else:
        resources = Resources(
            cpu=host.cpu,
            memory=host.memory,
            swap=host.swap,
            disk=host.disk,
            network=host.network,
            pressure=host.pressure,
            cgroup=cgroup,
        )
    return Snapshot(
        version=version,
        time=time,
        monotonic=monotonic,
        host=host if isinstance(host, Absent) else host.host,
        resources=resources,
        processes=value("processes"),
        file_systems=value("file_systems"),
        descriptors=value("descriptors"),
        top_calls=value("top_calls"),
        redis=value("redis"),
        redis_detail=value("redis_detail"),
        services=value("services"),
        scrape=value("scrape"),
        prometheus=value("prometheus"),
        pools=value("pools"),
        haproxy=value("haproxy"),
        queries=value("queries"),
        sources=statuses,
        monitor=monitor,
    )


def number(value: Maybe[T] | None) -> T | None:
    """Return a measured value, None for one that is absent."""
    return None if isinstance(value, Absent) else value


def history_values(snapshot: Snapshot) -> dict[str, float | None]:
    """Return the numbers of a snapshot that charts show over time, by series name."""
    values: dict[str, float | None] = {}
    resources = snapshot.resources
    if (cpu := number(resources.cpu)) is not None:
        values["cpu.percent"] = number(cpu.percent)
        values["cpu.iowait"] = number(cpu.iowait_percent)
    if (memory := number(resources.memory)) is not None:
        values["memory.percent"] = memory.percent
    if (swap := number(resources.swap)) is not None:
        values["swap.percent"] = swap.percent
    if (disk := number(resources.disk)) is not None:
        values["disk.read"] = number(disk.read_rate)
        values["disk.write"] = number(disk.write_rate)
    if (network := number(resources.network)) is not None:
        values["network.receive"] = number(network.receive_rate)
        values["network.transmit"] = number(network.transmit_rate)
    if (cgroup := number(resources.cgroup)) is not None:
        values["cgroup.cpu"] = number(cgroup.cpu_percent)
        values["cgroup.memory"] = number(cgroup.memory_percent)
        values["cgroup.throttled"] = number(cgroup.throttled_percent)
    if (redis := number(snapshot.redis)) is not None:
        ratio = number(redis.hit_ratio.seconds_10)
        values["redis.hit_percent"] = None if ratio is None else 100 * ratio
        values["redis.commands"] = number(redis.commands_rate)
        values["redis.memory"] = float(redis.memory_used)
        values["redis.latency"] = redis.latency
    if (calls := number(snapshot.top_calls)) is not None:
        values["profile.cores"] = number(calls.cores)
    values.update(_operations(snapshot))
    values.update(_caches(snapshot))
    values.update(_servers(snapshot))
    for alert in snapshot.alerts[:MOST_ALERTS]:
        if alert.fingerprint:
            values[alert_series(alert.fingerprint)] = number(alert.value)
    return values


def alert_series(fingerprint: str) -> str:
    """Return the name of the series of an alert's own value, in the alert's unit."""
    return f"alert.{fingerprint}"


def operation_series(service: Service, operation: str, what: str) -> str:
    """Return the name of the series of an operation's `rate`, `p95` (ms) or `errors` (percent)."""
    return f"operation.{what}.{service.origin}.{service.name}/{operation}"


def _operations(snapshot: Snapshot) -> dict[str, float | None]:
    """Return the series of the operations that take most of the time, which bounds the history."""
    found = [
        (operation.time_share, service.name, operation, service)
        for service in snapshot.all_services
        for operation in service.operations
    ]
    if len(found) > MOST_OPERATIONS:
        found.sort(key=lambda entry: entry[:2], reverse=True)
    values: dict[str, float | None] = {}
    for _, _, operation, service in found[:MOST_OPERATIONS]:
        p95, errors = number(operation.p95), number(operation.error_ratio)
        name = operation.name
        values[operation_series(service, name, "rate")] = operation.rate
        values[operation_series(service, name, "p95")] = 1000 * p95.value if p95 else None
        values[operation_series(service, name, "errors")] = None if errors is None else 100 * errors
    return values


def cache_series(service: Service, namespace: str, what: str) -> str:
    """Return the name of the series of a namespace's `memory` or `overall` hit ratio in percent."""
    return f"cache.{what}.{service.origin}.{service.name}/{namespace}"


def _caches(snapshot: Snapshot) -> dict[str, float | None]:
    """Return the hit ratios over 10 s of the caches that are looked up most."""
    found = [
        (max((number(tier.lookups_100) or 0 for tier in cache.tiers), default=0), service, cache)
        for service in snapshot.all_services
        for cache in service.caches
    ]
    if len(found) > MOST_CACHES:
        found.sort(key=lambda entry: entry[0], reverse=True)
    values: dict[str, float | None] = {}
    for _, service, cache in found[:MOST_CACHES]:
        for tier in cache.tiers:
            if tier.tier in ("memory", "overall"):
                ratio = number(tier.hit_ratio.seconds_10)
                name = cache_series(service, cache.namespace, tier.tier)
                values[name] = None if ratio is None else 100 * ratio
    return values


def server_series(pool: Pool, server: str, what: str) -> str:
    """Return the name of the series of a server's `cpu` (percent), `requests` or `in_flight`."""
    return f"server.{what}.{pool.origin}.{pool.endpoint}.{pool.name}/{server}"


def _servers(snapshot: Snapshot) -> dict[str, float | None]:
    """Return the series of the servers that get the most requests."""
    found = [
        (number(server.requests_per_second) or 0.0, pool, server)
        for pool in snapshot.all_pools
        for server in pool.servers
    ]
    if len(found) > MOST_SERVERS:
        found.sort(key=lambda entry: entry[0], reverse=True)
    values: dict[str, float | None] = {}
    for _, pool, server in found[:MOST_SERVERS]:
        at_work = number(server.in_flight)
        for what, value in (
            ("cpu", number(server.cpu_usage)),
            ("requests", number(server.requests_per_second)),
            ("in_flight", None if at_work is None else float(at_work)),
        ):
            values[server_series(pool, server.id, what)] = value
    return values
