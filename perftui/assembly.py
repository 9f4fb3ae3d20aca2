"""Puts the newest readings of all sources together into one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from perftui.snapshot import (
    Absent,
    Maybe,
    MonitorCost,
    Resources,
    Snapshot,
    SourceStatus,
    State,
)

if TYPE_CHECKING:
    from perftui.sources.host import HostReading

T = TypeVar("T")

NO_REDIS = Absent(
    State.NOT_COLLECTED,
    "no Redis is configured",
    "start with --redis redis://HOST:PORT or set REDIS_URL",
)
SWITCHED_OFF = Absent(State.NOT_COLLECTED, "switched off by monitor.sources in the configuration")

REDIS_SOURCES = frozenset({"redis", "services", "pools"})


def assemble(
    version: int,
    time: float,
    monotonic: float,
    values: Mapping[str, Any],
    statuses: tuple[SourceStatus, ...],
    monitor: MonitorCost,
    redis_configured: bool,
) -> Snapshot:
    """Return the snapshot of `values`, the newest reading or absence of each source by name."""

    def value(name: str) -> Any:
        if name in values:
            return values[name]
        return NO_REDIS if name in REDIS_SOURCES and not redis_configured else SWITCHED_OFF

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
        top_calls=value("top_calls"),
        redis=value("redis"),
        services=value("services"),
        pools=value("pools"),
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
    for service in number(snapshot.services) or ():
        values[f"service.{service.name}.rate"] = sum(o.rate for o in service.operations)
    return values
