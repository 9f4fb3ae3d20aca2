"""The newest snapshot as metrics for Prometheus."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from perftui.analysis.alerting.rules.pool_facts import pool_subject
from perftui.analysis.fullness import limit_of, mounted
from perftui.output.exporter_families import Page
from perftui.snapshot import (
    Absent,
    AlertState,
    CacheNamespace,
    CacheTier,
    Cgroup,
    Cpu,
    HitRatio,
    Maybe,
    Pool,
    PoolServer,
    RedisServer,
    Resources,
    Service,
    Severity,
    Snapshot,
    State,
)
from perftui.version import __version__

MOST_CORES = 256
MOST_MOUNTS = 200
MOST_SERVICES = 200
MOST_TIERS = 300
MOST_SERVERS = 500
MOST_POOLS = 200
MOST_ALERTS = 200
"""Bounds on what has names from outside, so that nobody fills the server of Prometheus."""

SERVER_STATES = ("ready", "drain", "maint", "stale", "down")
COHERENCE_STATES = ("off", "syncing", "live", "lost")
SEVERITIES = (Severity.WARNING.value, Severity.CRITICAL.value)
"""Those that ask for somebody to look."""

T = TypeVar("T")


class SnapshotCollector(Collector):
    """Gives the metrics of the newest snapshot; what is missing or stale is left out.

    `latest` returns it, None before the first; `clock` is the clock of `Snapshot.monotonic`.
    """

    def __init__(
        self,
        latest: Callable[[], Snapshot | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._latest = latest
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Return nothing: without this the registry would collect once to learn the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the families of one moment."""
        page = Page()
        page.add("perftui_build_info", 1, __version__, platform.python_version())
        snapshot = self._latest()
        if snapshot is not None:
            page.add("perftui_snapshot_age_seconds", self._clock() - snapshot.monotonic)
            _add_snapshot(page, snapshot)
        return page.families()


def _add_snapshot(page: Page, snapshot: Snapshot) -> None:
    _add_sources(page, snapshot)
    page.ratio("perftui_monitor_cpu_usage_ratio", snapshot.monitor.cpu_percent)
    page.add("perftui_monitor_memory_bytes", snapshot.monitor.memory_rss)
    # An old value that goes on and on looks like a new one: a gap is the truth.
    stale = {status.name for status in snapshot.sources if status.state is State.STALE}
    if "host" not in stale:
        _add_host(page, snapshot)
    if "cgroup" not in stale and not isinstance(snapshot.resources.cgroup, Absent):
        _add_cgroup(page, snapshot.resources.cgroup)
    if "file_systems" not in stale:
        _add_file_systems(page, snapshot)
    if "descriptors" not in stale and not isinstance(snapshot.descriptors, Absent):
        page.add("perftui_host_open_descriptors", snapshot.descriptors.open)
        page.add("perftui_host_descriptors_limit", limit_of(snapshot.descriptors))
    if "redis" not in stale and not isinstance(snapshot.redis, Absent):
        _add_redis(page, snapshot.redis)
    if "services" not in stale and not isinstance(snapshot.services, Absent):
        _add_services(page, snapshot.services)
    pools: tuple[Pool, ...] = ()
    for source, found in (("pools", snapshot.pools), ("haproxy", snapshot.haproxy)):
        if source not in stale and not isinstance(found, Absent):
            pools += found
    _add_pools(page, pools)
    _add_alerts(page, snapshot)


def _bounded(page: Page, kind: str, items: Sequence[T], most: int) -> Iterable[T]:
    if len(items) > most:
        page.add("perftui_left_out_items", len(items) - most, kind)
    return islice(items, most)


def _add_sources(page: Page, snapshot: Snapshot) -> None:
    for status in snapshot.sources:
        name = status.name
        # Before its first sample a source is neither well nor ill.
        if status.runs or status.state is not State.NOT_COLLECTED:
            page.add("perftui_source_up", int(status.state is State.OK), name)
        page.add("perftui_source_age_seconds", status.age, name)
        page.add("perftui_source_sample_duration_seconds", status.duration, name)
        page.add("perftui_source_samples_total", status.runs, name)
        page.add("perftui_source_late_samples_total", status.late, name)


def _add_host(page: Page, snapshot: Snapshot) -> None:
    host = snapshot.host
    if not isinstance(host, Absent):
        page.add("perftui_host_info", 1, host.name, host.system, host.kernel)
        page.add("perftui_host_cpus", host.cpus)
        page.add("perftui_host_uptime_seconds", host.uptime)
    if not isinstance(snapshot.resources.cpu, Absent):
        _add_cpu(page, snapshot.resources.cpu)
    _add_room_and_traffic(page, snapshot.resources)
    _add_pressure(page, snapshot.resources)


def _add_cpu(page: Page, cpu: Cpu) -> None:
    page.ratio("perftui_host_cpu_usage_ratio", cpu.percent)
    modes = {
        "user": cpu.user_percent,
        "system": cpu.system_percent,
        "iowait": cpu.iowait_percent,
        "steal": cpu.steal_percent,
    }
    for mode, percent in modes.items():
        page.ratio("perftui_host_cpu_mode_ratio", percent, mode)
    if not isinstance(cpu.per_core, Absent):
        for core, percent in enumerate(_bounded(page, "core", cpu.per_core, MOST_CORES)):
            page.ratio("perftui_host_cpu_core_usage_ratio", percent, str(core))
    if not isinstance(cpu.load, Absent):
        for minutes, load in zip((1, 5, 15), cpu.load, strict=True):
            page.add(f"perftui_host_load{minutes}", load)


def _add_room_and_traffic(page: Page, resources: Resources) -> None:
    memory, swap = resources.memory, resources.swap
    if not isinstance(memory, Absent):
        page.add("perftui_host_memory_bytes", memory.used, "used")
        page.add("perftui_host_memory_bytes", memory.available, "available")
        page.ratio("perftui_host_memory_usage_ratio", memory.percent)
    if not isinstance(swap, Absent):
        page.add("perftui_host_swap_bytes", swap.used, "used")
        page.add("perftui_host_swap_bytes", swap.total - swap.used, "free")
    disk, network = resources.disk, resources.network
    if not isinstance(disk, Absent):
        page.add("perftui_host_disk_read_bytes_per_second", disk.read_rate)
        page.add("perftui_host_disk_written_bytes_per_second", disk.write_rate)
    if not isinstance(network, Absent):
        page.add("perftui_host_network_received_bytes_per_second", network.receive_rate)
        page.add("perftui_host_network_transmitted_bytes_per_second", network.transmit_rate)


def _add_pressure(page: Page, resources: Resources) -> None:
    pressure = resources.pressure
    if isinstance(pressure, Absent):
        return
    stalls = {"cpu": pressure.cpu, "memory": pressure.memory, "io": pressure.io}
    for resource, stall in stalls.items():
        if isinstance(stall, Absent):
            continue
        values = {
            ("some", "10s"): stall.some_avg10,
            ("some", "60s"): stall.some_avg60,
            ("all", "10s"): stall.full_avg10,
            ("all", "60s"): stall.full_avg60,
        }
        for (tasks, window), percent in values.items():
            page.ratio("perftui_pressure_stalled_ratio", percent, resource, tasks, window)


def _add_cgroup(page: Page, group: Cgroup) -> None:
    page.add("perftui_cgroup_cpu_limit_cores", group.cpu_limit)
    page.add("perftui_cgroup_cpu_usage_cores", group.cpu_cores)
    page.ratio("perftui_cgroup_cpu_usage_ratio", group.cpu_percent)
    page.ratio("perftui_cgroup_cpu_throttled_ratio", group.throttled_percent)
    page.add("perftui_cgroup_memory_limit_bytes", group.memory_limit)
    page.add("perftui_cgroup_memory_used_bytes", group.memory_used)
    page.ratio("perftui_cgroup_memory_usage_ratio", group.memory_percent)


def _add_file_systems(page: Page, snapshot: Snapshot) -> None:
    # The fullest come first: of too many mount points those are kept that matter.
    for row in _bounded(page, "file system", mounted(snapshot), MOST_MOUNTS):
        page.add("perftui_file_system_readable", int(row.usage is not None), row.mount)
        if row.usage is None:
            continue
        labels = (row.mount, row.usage.device, row.usage.kind)
        page.add("perftui_file_system_size_bytes", row.usage.total, *labels)
        page.add("perftui_file_system_available_bytes", row.usage.available, *labels)
        page.ratio("perftui_file_system_usage_ratio", row.usage.used_percent, *labels)
        page.ratio("perftui_file_system_inodes_usage_ratio", row.usage.inodes_percent, *labels)


def _add_redis(page: Page, redis: RedisServer) -> None:
    page.add("perftui_redis_info", 1, redis.address, redis.flavour, redis.version, redis.role)
    page.add("perftui_redis_uptime_seconds", redis.uptime)
    page.add("perftui_redis_latency_seconds", redis.latency)
    page.add("perftui_redis_clients", redis.clients)
    page.add("perftui_redis_blocked_clients", redis.blocked_clients)
    page.add("perftui_redis_keys", redis.keys)
    page.add("perftui_redis_memory_used_bytes", redis.memory_used)
    page.add("perftui_redis_memory_limit_bytes", redis.memory_limit)
    _add_hits(page, "perftui_redis_hit_ratio", redis.hit_ratio)
    page.add("perftui_redis_commands_per_second", redis.commands_rate)
    page.add("perftui_redis_hits_per_second", redis.hits_rate)
    page.add("perftui_redis_misses_per_second", redis.misses_rate)
    page.add("perftui_redis_evictions_per_second", redis.evictions_rate)
    page.add("perftui_redis_expirations_per_second", redis.expirations_rate)


def _add_hits(page: Page, name: str, hits: HitRatio, *labels: str) -> None:
    windows: dict[str, Maybe[float]] = {
        "10s": hits.seconds_10,
        "100s": hits.seconds_100,
        "1000s": hits.seconds_1000,
    }
    for window, ratio in windows.items():
        page.add(name, ratio, *labels, window)


def _add_services(page: Page, services: Sequence[Service]) -> None:
    for service in _bounded(page, "service", services, MOST_SERVICES):
        page.add("perftui_service_processes", service.processes, service.name)
        page.add("perftui_service_hosts", len(service.hosts), service.name)
        page.add("perftui_service_report_age_seconds", service.last_seen, service.name)
    tiers = [
        (tier, (service.name, cache.namespace, tier.tier))
        for service in services
        for cache in service.caches
        for tier in cache.tiers
    ]
    for tier, labels in _bounded(page, "cache tier", tiers, MOST_TIERS):
        _add_tier(page, tier, labels)
    namespaces = [
        (cache, (service.name, cache.namespace)) for service in services for cache in service.caches
    ]
    for cache, names in _bounded(page, "cache namespace", namespaces, MOST_TIERS // 3):
        _add_namespace(page, cache, names)


def _add_namespace(page: Page, cache: CacheNamespace, labels: tuple[str, str]) -> None:
    page.add("perftui_cache_ghost_hit_ratio", cache.ghost_ratio, *labels)
    page.add("perftui_cache_loads_per_second", cache.loads_rate, *labels)
    coherence = cache.coherence
    if isinstance(coherence, Absent):
        return
    for state in COHERENCE_STATES:
        page.add("perftui_cache_coherence_state", int(coherence.state == state), *labels, state)
    page.add("perftui_cache_coherence_lag_seconds", coherence.lag, *labels)


def _add_tier(page: Page, tier: CacheTier, labels: tuple[str, str, str]) -> None:
    _add_hits(page, "perftui_cache_hit_ratio", tier.hit_ratio, *labels)
    page.add("perftui_cache_items", tier.items, *labels)
    page.add("perftui_cache_size_bytes", tier.size, *labels)
    page.add("perftui_cache_evictions_per_second", tier.evictions_rate, *labels)
    page.add("perftui_cache_items_limit", tier.items_limit, *labels)
    page.add("perftui_cache_size_limit_bytes", tier.size_limit, *labels)
    page.add("perftui_cache_expirations_per_second", tier.expirations_rate, *labels)
    page.add("perftui_cache_errors_per_second", tier.errors_rate, *labels)
    page.add("perftui_cache_lookups_per_second", tier.lookups_rate, *labels)


def _add_pools(page: Page, pools: Sequence[Pool]) -> None:
    for pool in _bounded(page, "pool", pools, MOST_POOLS):
        for state in SERVER_STATES:
            count = sum(server.state == state for server in pool.servers)
            page.add("perftui_pool_servers", count, pool_subject(pool), state)
    servers = [
        (server, (pool_subject(pool), server.id)) for pool in pools for server in pool.servers
    ]
    for server, labels in _bounded(page, "pool server", servers, MOST_SERVERS):
        _add_server(page, server, labels)


def _add_server(page: Page, server: PoolServer, labels: tuple[str, str]) -> None:
    for state in SERVER_STATES:
        page.add("perftui_pool_server_state", int(server.state == state), *labels, state)
    page.add("perftui_pool_server_overloaded", int(server.overloaded), *labels)
    page.add("perftui_pool_server_weight", server.weight, *labels)
    page.ratio("perftui_pool_server_cpu_usage_ratio", server.cpu_usage, *labels)
    page.ratio("perftui_pool_server_memory_usage_ratio", server.memory_usage, *labels)
    page.add("perftui_pool_server_requests_per_second", server.requests_per_second, *labels)
    page.add("perftui_pool_server_in_flight_requests", server.in_flight, *labels)
    page.add("perftui_pool_server_picks_total", server.picks, *labels)
    # An address of HAProxy's is not heard of by itself: it has no heartbeat.
    if isinstance(server.checks_failed, Absent):
        page.add("perftui_pool_server_heartbeat_age_seconds", server.last_seen, *labels)


def _add_alerts(page: Page, snapshot: Snapshot) -> None:
    # A Prometheus server knows its own alerts already.
    alerts = [alert for alert in snapshot.alerts if alert.origin == "local"]
    firing = [alert for alert in snapshot.firing if alert.origin == "local"]
    for severity in SEVERITIES:
        count = sum(alert.severity.value == severity for alert in firing)
        page.add("perftui_alerts_firing", count, severity)
    for state in AlertState:
        count = sum(alert.state is state and not alert.informs for alert in alerts)
        page.add("perftui_alerts", count, state.value)
    for alert in _bounded(page, "alert", alerts, MOST_ALERTS):
        labels = (alert.rule, alert.severity.value, alert.subject)
        if alert.state is AlertState.FIRING and not alert.quiet:
            page.add("perftui_alert_firing", 1, *labels)
        page.add("perftui_alert_state", 1, *labels, alert.state.value)
        reasons = {
            "silenced": alert.silenced_until,
            "inhibited": alert.inhibited_by,
            "acknowledged": alert.acknowledged_by,
        }
        for reason, given in reasons.items():
            if given:
                page.add("perftui_alert_quiet", 1, *labels, reason)
