"""The page for Prometheus: names, values, what is left out, formats, bounds."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import msgspec
import pytest
from measured_sample import DENIED, full
from operations_sample import everywhere
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from perftui.output.exporter_families import FAMILIES, LONGEST_LABEL
from perftui.output.exporter_metrics import (
    MOST_ALERTS,
    MOST_SERVERS,
    SERVER_STATES,
    SnapshotCollector,
)
from perftui.snapshot import (
    Alert,
    CacheCoherence,
    Cgroup,
    Descriptors,
    FileSystem,
    FileSystems,
    Pool,
    PoolServer,
    RedisServer,
    Severity,
    Snapshot,
    SourceStatus,
    Stall,
    State,
    Swap,
)

HOSTILE = 'e\x1b[2J\n\udcff\0"\\{}=,# 名'
STATUS = SourceStatus("host", State.OK, "", "", 0.1, 0.01, 1.0, 2, 5)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def page(snapshot: Snapshot | None) -> bytes:
    return generate_latest(SnapshotCollector(lambda: snapshot, lambda: 56.0))


def samples(snapshot: Snapshot | None) -> Samples:
    found: Samples = {}
    for family in parse_text(page(snapshot).decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def complete() -> Snapshot:
    """Return a snapshot from which no metric is missing."""
    snapshot = full()
    replace = msgspec.structs.replace
    assert isinstance(snapshot.redis, RedisServer)
    assert isinstance(snapshot.resources.cgroup, Cgroup)
    assert not isinstance(snapshot.services, type(DENIED))
    assert not isinstance(snapshot.pools, type(DENIED))
    resources = replace(
        snapshot.resources,
        swap=Swap(50.0, 5, 10),
        disk=replace(snapshot.resources.disk, write_rate=7.0),
        pressure=replace(snapshot.resources.pressure, memory=Stall(1.0, 2.0, 3.0, 4.0)),
        cgroup=replace(snapshot.resources.cgroup, memory_limit=2**31, memory_percent=50.0),
    )
    cache = snapshot.services[0].caches[0]
    tier = replace(
        cache.tiers[0], size=9000, items_limit=2000, size_limit=10**6, expirations_rate=0.5,
        errors_rate=0.1, lookups_rate=90.0,
    )  # fmt: skip
    cache = replace(
        cache, tiers=(tier,), ghost_ratio=0.94, loads_rate=2.0,
        coherence=CacheCoherence("lost", "reset", "", 0.002, 1.5, 1.0, 3),
    )  # fmt: skip
    service = replace(snapshot.services[0], caches=(cache,))
    server = replace(snapshot.pools[0].servers[0], memory_usage=61.0)
    return replace(
        snapshot,
        resources=resources,
        services=(service,),
        pools=(Pool("web", (server,)),),
        file_systems=FileSystems((FileSystem("/", "/dev/sda1", "ext4", 9, 4, 55.6, 1.0),)),
        descriptors=Descriptors(5, 10, (), 1),
        redis=replace(snapshot.redis, memory_limit=2**29, expirations_rate=1.0),
        sources=(STATUS, replace(STATUS, name="redis")),
    )


def check(text: bytes) -> subprocess.CompletedProcess[bytes]:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    command = [promtool, "check", "metrics"]
    return subprocess.run(command, input=text, capture_output=True, check=False, timeout=30)


def test_promtool_accepts_every_metric_without_complaint() -> None:
    text = page(complete())
    told = set(re.findall(rb"^# TYPE (\S+)", text, re.MULTILINE))
    # What is left out is the only one that a bounded snapshot does not have.
    assert {name.decode() for name in told} == set(FAMILIES) - {"perftui_left_out_items"}
    result = check(text)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_promtool_accepts_gaps_and_hostile_names() -> None:
    for snapshot in (None, Snapshot(1, 0.0, 55.0), everywhere(), hostile()):
        result = check(page(snapshot))
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_a_complaint_of_promtool_would_be_seen() -> None:
    assert check(b"# HELP a_total x\n# TYPE a_total gauge\na_total 1\n").returncode != 0


def test_names_follow_the_rules() -> None:
    for name, family in FAMILIES.items():
        assert re.fullmatch(r"perftui_[a-z0-9_]+", name)
        assert family.help.endswith("."), name
        assert name.endswith("_total") is family.counter, name
        assert not re.search(r"percent|milli|_ms\b|kilo|mega|_mb\b|minutes|hours", name), name


def test_coherence_has_a_row_for_each_state() -> None:
    found = samples(complete())
    labels = {"service": "shop", "namespace": "price"}
    states = {
        state: value(found, "perftui_cache_coherence_state", **labels, state=state)
        for state in ("off", "syncing", "live", "lost")
    }
    assert states == {"off": 0, "syncing": 0, "live": 0, "lost": 1}
    assert value(found, "perftui_cache_coherence_lag_seconds", **labels) == 0.002
    assert value(found, "perftui_cache_ghost_hit_ratio", **labels) == 0.94
    assert value(found, "perftui_cache_items_limit", **labels, tier="memory") == 2000


def test_values_are_in_base_units() -> None:
    found = samples(full())
    assert value(found, "perftui_host_cpu_usage_ratio") == pytest.approx(0.582)
    assert value(found, "perftui_host_cpu_core_usage_ratio", core="1") == pytest.approx(0.44)
    assert value(found, "perftui_host_memory_bytes", state="used") == 6 * 2**30
    assert value(found, "perftui_host_memory_bytes", state="available") == 2 * 2**30
    assert value(found, "perftui_host_load5") == 0.98
    assert value(found, "perftui_cgroup_cpu_limit_cores") == 2.0
    labels = {"resource": "cpu", "tasks": "some", "window": "10s"}
    assert value(found, "perftui_pressure_stalled_ratio", **labels) == pytest.approx(0.004)
    labels = {"service": "shop", "namespace": "price", "tier": "memory"}
    assert value(found, "perftui_cache_hit_ratio", **labels, window="10s") == 0.912
    assert value(found, "perftui_cache_items", **labels) == 1000
    server = {"pool": "web", "server": "api-1"}
    assert value(found, "perftui_pool_server_cpu_usage_ratio", **server) == pytest.approx(0.83)
    assert value(found, "perftui_pool_server_picks_total", **server) == 9
    assert value(found, "perftui_pool_server_overloaded", **server) == 1
    states = [value(found, "perftui_pool_server_state", **server, state=s) for s in SERVER_STATES]
    assert states == [1, 0, 0, 0, 0]
    assert value(found, "perftui_pool_servers", pool="empty", state="ready") == 0
    alert = {"rule": "R10", "severity": "critical", "subject": "cpu"}
    assert value(found, "perftui_alert_firing", **alert) == 1
    assert value(found, "perftui_alerts_firing", severity="critical") == 1
    assert value(found, "perftui_alerts_firing", severity="warning") == 0
    assert value(found, "perftui_monitor_memory_bytes") == 40_000_000
    assert value(found, "perftui_snapshot_age_seconds") == 1.0


def test_what_is_missing_is_absent_and_never_zero() -> None:
    found = samples(full())
    names = {name for name, _ in found}
    for name in (
        "perftui_host_disk_written_bytes_per_second",
        "perftui_cgroup_memory_limit_bytes",
        "perftui_cgroup_memory_usage_ratio",
        "perftui_cache_size_bytes",
        "perftui_pool_server_memory_usage_ratio",
    ):
        assert name not in names, name
    labels = {"service": "shop", "namespace": "price", "tier": "memory", "window": "1000s"}
    assert value(found, "perftui_cache_hit_ratio", **labels) is None
    labels = {"resource": "memory", "tasks": "some", "window": "10s"}
    assert value(found, "perftui_pressure_stalled_ratio", **labels) is None


def test_a_stale_source_is_down_and_its_numbers_are_gone() -> None:
    found = samples(full())
    assert value(found, "perftui_source_up", source="host") == 1
    assert value(found, "perftui_source_up", source="redis") == 0
    assert value(found, "perftui_source_age_seconds", source="redis") == 12.0
    assert value(found, "perftui_source_samples_total", source="redis") == 5
    assert not any(name.startswith("perftui_redis_") for name, _ in found)
    assert value(samples(complete()), "perftui_redis_keys") == 120_000


def test_a_source_that_failed_is_down_and_one_that_did_not_start_is_not_judged() -> None:
    gone = SourceStatus("redis", State.UNAVAILABLE, "refused", "", None, 0.1, 1.0, 0, 1)
    new = SourceStatus("host", State.NOT_COLLECTED, "no sample yet", "", None, None, 1.0, 0, 0)
    found = samples(Snapshot(1, 0.0, 55.0, sources=(gone, new)))
    assert value(found, "perftui_source_up", source="redis") == 0
    assert value(found, "perftui_source_up", source="host") is None
    assert value(found, "perftui_source_age_seconds", source="host") is None


def test_before_the_first_reading_there_is_only_the_version() -> None:
    found = samples(None)
    assert {name for name, _ in found} == {"perftui_build_info"}


def test_alerts_of_prometheus_and_operations_do_not_go_in_circles() -> None:
    text = page(everywhere()).decode()
    assert "ErrorsHigh" not in text
    assert "checkout" not in text
    assert 'perftui_alerts_firing{severity="critical"} 0.0' in text


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_left_out(bad: float) -> None:
    snapshot = full()
    resources = msgspec.structs.replace(
        snapshot.resources, cpu=msgspec.structs.replace(snapshot.resources.cpu, percent=bad)
    )
    found = samples(msgspec.structs.replace(snapshot, resources=resources))
    assert value(found, "perftui_host_cpu_usage_ratio") is None
    assert value(found, "perftui_host_load1") == 1.24


def pool_server(name: str) -> PoolServer:
    return PoolServer(name, "a:1", "ready", "", 1, DENIED, DENIED, DENIED, DENIED, 1, 0.1, False)


def hostile() -> Snapshot:
    snapshot = full()
    assert not isinstance(snapshot.services, type(DENIED))
    service = msgspec.structs.replace(snapshot.services[0], name=HOSTILE)
    alert = Alert(HOSTILE, Severity.WARNING, "s" * 900, 1, 1, "", 1.0, "m", "h", "resources")
    pools = (Pool(HOSTILE, (pool_server(HOSTILE), pool_server(HOSTILE))),)
    return msgspec.structs.replace(
        snapshot, services=(service, service), pools=pools, alerts=(alert,)
    )


def test_hostile_names_stay_labels() -> None:
    found = samples(hostile())
    shown = 'e\x1b[2J\n\\udcff\\x00"\\{}=,# 名'
    assert value(found, "perftui_service_processes", service=shown) == 4
    assert value(found, "perftui_pool_server_weight", pool=shown, server=shown) == 1
    subjects = [dict(labels)["subject"] for name, labels in found if name.endswith("t_firing")]
    assert [len(subject) for subject in subjects] == [LONGEST_LABEL]


def test_the_number_of_series_is_bounded_and_what_is_left_out_is_counted() -> None:
    many = tuple(pool_server(f"s{n}") for n in range(MOST_SERVERS + 30))
    alerts = tuple(
        Alert(f"r{n}", Severity.WARNING, "x", 1, 1, "", 1.0, "m", "h", "resources")
        for n in range(MOST_ALERTS + 1)
    )
    found = samples(msgspec.structs.replace(full(), pools=(Pool("web", many),), alerts=alerts))
    weights = [name for name, _ in found if name == "perftui_pool_server_weight"]
    assert len(weights) == MOST_SERVERS
    assert value(found, "perftui_pool_servers", pool="web", state="ready") == MOST_SERVERS + 30
    assert value(found, "perftui_left_out_items", kind="pool server") == 30
    assert value(found, "perftui_left_out_items", kind="alert") == 1
    assert value(found, "perftui_alerts_firing", severity="warning") == MOST_ALERTS + 1


def test_the_collector_fits_a_registry() -> None:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(full, lambda: 56.0))
    assert registry.get_sample_value("perftui_host_load1") == 1.24
