"""The metrics that the exporter serves: names, help texts and labels.

Names follow https://prometheus.io/docs/practices/naming/: base units, ratios of 0..1, `_total` for
counters only. Rates are gauges: perftui measures them itself and has no counter behind them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from perftui.snapshot import Absent, Maybe

LONGEST_LABEL = 200
"""Characters of a label value; names from outside can be of any length."""


class Family(NamedTuple):
    """What one metric tells."""

    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False


_NAMESPACE = ("service", "namespace")
_CACHE = (*_NAMESPACE, "tier")
_SERVER = ("pool", "server")
_ALERT = ("rule", "severity", "subject")
_MOUNT = ("mount", "device", "kind")

FAMILIES: dict[str, Family] = {
    "perftui_build_info": Family(
        "Version of perftui and of the Python it runs on; always 1.", ("version", "python")
    ),
    "perftui_snapshot_age_seconds": Family("Age of the readings on this page."),
    "perftui_source_up": Family(
        "Whether a source has a current reading: 1, or 0 when it is stale, denied or unavailable.",
        ("source",),
    ),
    "perftui_source_age_seconds": Family("Age of the newest attempt of a source.", ("source",)),
    "perftui_source_sample_duration_seconds": Family(
        "How long the newest attempt of a source took.", ("source",)
    ),
    "perftui_source_samples_total": Family("Attempts of a source to read.", ("source",), True),
    "perftui_source_late_samples_total": Family(
        "Attempts of a source that were late or left out.", ("source",), True
    ),
    "perftui_left_out_items": Family(
        "Items that are not on this page because there are too many of them.", ("kind",)
    ),
    "perftui_monitor_cpu_usage_ratio": Family(
        "CPU time of this exporter over the last samples, of one core."
    ),
    "perftui_monitor_memory_bytes": Family("Resident memory of this exporter."),
    "perftui_host_info": Family(
        "Name, system and kernel of the machine; always 1.", ("name", "system", "kernel")
    ),
    "perftui_host_cpus": Family("Logical CPUs of the machine."),
    "perftui_host_uptime_seconds": Family("Time since the machine was started."),
    "perftui_host_cpu_usage_ratio": Family("CPU time used since the last sample, of all cores."),
    "perftui_host_cpu_mode_ratio": Family(
        "CPU time by mode since the last sample, of all cores.", ("mode",)
    ),
    "perftui_host_cpu_core_usage_ratio": Family(
        "CPU time used since the last sample, by core.", ("core",)
    ),
    "perftui_host_load1": Family("Load average over 1 minute."),
    "perftui_host_load5": Family("Load average over 5 minutes."),
    "perftui_host_load15": Family("Load average over 15 minutes."),
    "perftui_host_memory_bytes": Family(
        "Memory that is used or available; both together are all of it.", ("state",)
    ),
    "perftui_host_memory_usage_ratio": Family("Part of the memory that is used."),
    "perftui_host_swap_bytes": Family("Swap space that is used or free.", ("state",)),
    "perftui_host_disk_read_bytes_per_second": Family("Bytes read from disks per second."),
    "perftui_host_disk_written_bytes_per_second": Family("Bytes written to disks per second."),
    "perftui_host_network_received_bytes_per_second": Family(
        "Bytes received per second on all interfaces but loopback."
    ),
    "perftui_host_network_transmitted_bytes_per_second": Family(
        "Bytes transmitted per second on all interfaces but loopback."
    ),
    "perftui_pressure_stalled_ratio": Family(
        "Part of the time that some or all tasks waited for a resource, averaged over a window.",
        ("resource", "tasks", "window"),
    ),
    "perftui_cgroup_cpu_limit_cores": Family("CPU limit of the control group, if it has one."),
    "perftui_cgroup_cpu_usage_cores": Family("CPU time the control group uses, in cores."),
    "perftui_cgroup_cpu_usage_ratio": Family("CPU time of the control group, of its limit."),
    "perftui_cgroup_cpu_throttled_ratio": Family(
        "Part of the scheduling periods in which the control group was held back."
    ),
    "perftui_cgroup_memory_limit_bytes": Family(
        "Memory limit of the control group, if it has one."
    ),
    "perftui_cgroup_memory_used_bytes": Family("Memory the control group uses."),
    "perftui_cgroup_memory_usage_ratio": Family("Memory of the control group, of its limit."),
    "perftui_file_system_size_bytes": Family("Size of a file system.", _MOUNT),
    "perftui_file_system_available_bytes": Family(
        "Space left on a file system for users without privileges.", _MOUNT
    ),
    "perftui_file_system_usage_ratio": Family(
        "Part of the space for users without privileges that is used.", _MOUNT
    ),
    "perftui_file_system_inodes_usage_ratio": Family(
        "Part of the files there may be on a file system that exist.", _MOUNT
    ),
    "perftui_file_system_readable": Family(
        "Whether a mount point answers: 1, or 0 when it hangs or refuses; "
        "then it has no other metric.",
        ("mount",),
    ),
    "perftui_host_open_descriptors": Family("Files that are open on the machine."),
    "perftui_host_descriptors_limit": Family("Files that may be open, if that is limited."),
    "perftui_redis_info": Family(
        "Address, kind, version and role of the Redis server; always 1.",
        ("address", "flavour", "version", "role"),
    ),
    "perftui_redis_uptime_seconds": Family("Time since the Redis server was started."),
    "perftui_redis_latency_seconds": Family("How long the Redis server took to answer."),
    "perftui_redis_clients": Family("Clients connected to the Redis server."),
    "perftui_redis_blocked_clients": Family("Clients of the Redis server that wait for data."),
    "perftui_redis_keys": Family("Keys in all databases of the Redis server."),
    "perftui_redis_memory_used_bytes": Family("Memory the Redis server uses."),
    "perftui_redis_memory_limit_bytes": Family("The setting maxmemory, if it is set."),
    "perftui_redis_hit_ratio": Family(
        "Hits over lookups of the whole Redis server in a window.", ("window",)
    ),
    "perftui_redis_commands_per_second": Family("Commands the Redis server runs per second."),
    "perftui_redis_hits_per_second": Family("Lookups per second that found their key."),
    "perftui_redis_misses_per_second": Family("Lookups per second that did not find their key."),
    "perftui_redis_evictions_per_second": Family("Keys evicted per second for want of memory."),
    "perftui_redis_expirations_per_second": Family("Keys expired per second."),
    "perftui_service_processes": Family("Live processes of a service that reports.", ("service",)),
    "perftui_service_hosts": Family("Hosts a service reports from.", ("service",)),
    "perftui_service_report_age_seconds": Family(
        "Age of the newest report of a service.", ("service",)
    ),
    "perftui_cache_hit_ratio": Family(
        "Hits over lookups of a service's cache in a window.", (*_CACHE, "window")
    ),
    "perftui_cache_items": Family("Items in a tier of a service's cache.", _CACHE),
    "perftui_cache_size_bytes": Family("Size of a tier of a service's cache.", _CACHE),
    "perftui_cache_evictions_per_second": Family(
        "Items evicted per second from a tier of a service's cache.", _CACHE
    ),
    "perftui_cache_items_limit": Family(
        "Items that the memory tiers of all processes may hold, all namespaces together.", _CACHE
    ),
    "perftui_cache_size_limit_bytes": Family(
        "Bytes that the memory tiers of all processes may hold, all namespaces together.", _CACHE
    ),
    "perftui_cache_expirations_per_second": Family(
        "Items removed per second from a tier because their time was over.", _CACHE
    ),
    "perftui_cache_errors_per_second": Family(
        "Failed questions to a tier of a service's cache per second.", _CACHE
    ),
    "perftui_cache_lookups_per_second": Family(
        "Look-ups per second in a tier of a service's cache.", _CACHE
    ),
    "perftui_cache_coherence_state": Family(
        "1 for the state of the worst process, 0 for the other states.",
        (*_NAMESPACE, "state"),
    ),
    "perftui_cache_coherence_lag_seconds": Family(
        "Newest round trip on the connection that tells the worst process of changes.", _NAMESPACE
    ),
    "perftui_cache_ghost_hit_ratio": Family(
        "What the hit ratio of memory over 100 seconds would be with twice the room.", _NAMESPACE
    ),
    "perftui_cache_loads_per_second": Family(
        "Values made anew per second because no tier had them.", _NAMESPACE
    ),
    "perftui_pool_servers": Family("Servers of a pool by state.", ("pool", "state")),
    "perftui_pool_server_state": Family(
        "State of a server: 1 for the state it is in, 0 for the others.", (*_SERVER, "state")
    ),
    "perftui_pool_server_overloaded": Family(
        "Whether a server is above a threshold of its pool.", _SERVER
    ),
    "perftui_pool_server_weight": Family("Weight of a server in its pool.", _SERVER),
    "perftui_pool_server_cpu_usage_ratio": Family("CPU use that a server reports.", _SERVER),
    "perftui_pool_server_memory_usage_ratio": Family("Memory use that a server reports.", _SERVER),
    "perftui_pool_server_requests_per_second": Family(
        "Requests per second that a server reports.", _SERVER
    ),
    "perftui_pool_server_in_flight_requests": Family(
        "Requests that a server is working on.", _SERVER
    ),
    "perftui_pool_server_picks_total": Family(
        "Requests that balancers have given to a server.", _SERVER, True
    ),
    "perftui_pool_server_heartbeat_age_seconds": Family(
        "Age of the newest heartbeat of a server.", _SERVER
    ),
    "perftui_alerts_firing": Family(
        "Alerts of perftui that are firing and ask for somebody to look.", ("severity",)
    ),
    "perftui_alerts": Family(
        "Alerts of perftui by state, quiet ones too, information not.", ("state",)
    ),
    "perftui_alert_firing": Family(
        "An alert of perftui that is firing and asks for somebody to look; always 1.", _ALERT
    ),
    "perftui_alert_state": Family(
        "State of an alert of perftui; always 1, absent when all is well.", (*_ALERT, "state")
    ),
    "perftui_alert_quiet": Family(
        "Why nobody need look at an alert of perftui: silenced, inhibited or acknowledged; "
        "always 1.",
        (*_ALERT, "reason"),
    ),
}


class Page:
    """Collects samples and makes metric families of them, in the order of FAMILIES."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[tuple[str, ...], float]] = {}

    def add(self, name: str, value: Maybe[float] | None, *labels: str) -> None:
        """Add a sample; one that is missing or not finite is left out, and so is a second one."""
        if value is None or isinstance(value, Absent) or not math.isfinite(value):
            return
        samples = self._samples.setdefault(name, {})
        samples.setdefault(tuple(_label(text) for text in labels), float(value))

    def ratio(self, name: str, percent: Maybe[float], *labels: str) -> None:
        """Add percent as a ratio."""
        self.add(name, percent if isinstance(percent, Absent) else percent / 100, *labels)

    def families(self) -> list[Metric]:
        """Return the families that have samples."""
        return [
            _metric(name, family, self._samples[name])
            for name, family in FAMILIES.items()
            if name in self._samples
        ]


def _metric(name: str, family: Family, samples: dict[tuple[str, ...], float]) -> Metric:
    make = CounterMetricFamily if family.counter else GaugeMetricFamily
    metric = make(name, family.help, labels=family.labels)
    for labels, value in samples.items():
        metric.add_metric(labels, value)
    return metric


def _label(text: str) -> str:
    """Return text that UTF-8 can hold, of bounded length and without a zero byte."""
    text = text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 3]}..."
