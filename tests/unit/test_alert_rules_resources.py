"""Rules for machine, limits, disks, descriptors, Redis, caches, runtime, pools and the monitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import pytest
from alert_scenes import ALL_WELL, HOST, machine, readings, rule_of, scene
from sample import full_snapshot

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Reading, Rule
from perftui.snapshot import (
    Absent,
    Alert,
    AlertState,
    CacheCoherence,
    CacheNamespace,
    CacheProcess,
    CacheTier,
    Cgroup,
    Descriptors,
    FileSystem,
    FileSystems,
    GcPauses,
    HitRatio,
    Instance,
    LoopLag,
    Pool,
    PoolServer,
    Pressure,
    ProcessDescriptors,
    RedisServer,
    Resources,
    Service,
    Severity,
    Snapshot,
    SourceStatus,
    Stall,
    State,
)

NONE = Absent(State.UNAVAILABLE, "not here")
MORE_RULES = tuple(rule for rule in catalogue() if not rule.enabled)


def limited(cpu: float, throttled: float, memory: float = 10.0, kills: int = 0) -> Cgroup:
    """Return a control group that may use half a core and 512 MB."""
    return Cgroup(
        2, "/shop", 0.5, cpu / 200, cpu, throttled, 512_000_000, int(memory * 5_120_000), memory,
        kills,
    )  # fmt: skip


def fired(
    at: Callable[[float], Snapshot], seconds: float, rules: tuple[Rule, ...] | None = None
) -> dict[str, Alert]:
    """Return what fires after a time of snapshots each second, by rule."""
    engine = AlertEngine(catalogue() if rules is None else rules)
    alerts: tuple[Alert, ...] = ()
    for second in range(int(seconds) + 1):
        alerts, _ = engine.update(every_second(at(float(second))))
    return {alert.rule: alert for alert in alerts if alert.state is AlertState.FIRING}


def every_second(snapshot: Snapshot) -> Snapshot:
    sources = tuple(msgspec.structs.replace(s, interval=1.0) for s in snapshot.sources)
    return msgspec.structs.replace(snapshot, sources=sources)


def test_a_healthy_snapshot_raises_nothing() -> None:
    healthy = full_snapshot()
    healthy = msgspec.structs.replace(healthy, pools=(pool(),), file_systems=NONE, descriptors=NONE)

    def at(seconds: float) -> Snapshot:
        return msgspec.structs.replace(
            healthy, time=healthy.time + seconds, monotonic=healthy.monotonic + seconds
        )

    # One operation of the sample does fail in 2.1 % of its calls; R05 is information.
    assert set(fired(at, 400)) == {"R05", "R07"}


def test_the_limit_speaks_and_never_the_host() -> None:
    """Half a core, throttled, on a host with seven idle ones."""
    resources = machine(cpu=6.0, cgroup=limited(cpu=100.0, throttled=80.0))

    alerts = fired(lambda s: scene(s, host=HOST, resources=resources), 200)

    assert set(alerts) == {"R10", "R14"}
    assert {alert.subject for alert in alerts.values()} == {"cgroup limit"}
    assert alerts["R10"].severity is Severity.CRITICAL
    assert "of the limit" in alerts["R10"].message
    assert "CPU limit" in alerts["R14"].message
    assert "the control group may use 0.5 cores" in alerts["R10"].evidence


def test_a_busy_host_is_nobody_s_business_below_a_limit() -> None:
    resources = msgspec.structs.replace(
        machine(cpu=99.0, memory=97.0, cgroup=limited(cpu=20.0, throttled=0.0)),
        pressure=Pressure(Stall(90.0, 90.0, NONE, NONE), NONE, NONE),
    )

    assert fired(lambda s: scene(s, host=HOST, resources=resources), 200) == {}


def test_without_a_limit_the_host_speaks() -> None:
    unlimited = Cgroup(2, "/", None, 1.0, NONE, NONE, None, 10, NONE)
    resources = machine(cpu=90.0, memory=97.0, cgroup=unlimited)

    alerts = fired(lambda s: scene(s, host=HOST, resources=resources), 200)

    assert {rule: (a.subject, a.severity) for rule, a in alerts.items()} == {
        "R09": ("host", Severity.CRITICAL),
        "R10": ("host", Severity.WARNING),
    }


@pytest.mark.parametrize(
    ("pressure", "rule"),
    [
        (Pressure(NONE, Stall(9.0, 9.0, 9.0, 9.0), NONE), "R11"),
        (Pressure(Stall(40.0, 40.0, NONE, NONE), NONE, NONE), "R12"),
        (Pressure(NONE, NONE, Stall(50.0, 50.0, 20.0, 20.0)), "R13"),
    ],
)
def test_pressure_on_each_resource(pressure: Pressure, rule: str) -> None:
    resources = msgspec.structs.replace(machine(), pressure=pressure)

    assert set(fired(lambda s: scene(s, host=HOST, resources=resources), 150)) == {rule}


def test_load_and_iowait_stand_in_where_there_is_no_pressure_information() -> None:
    resources = machine()
    cpu = msgspec.structs.replace(
        resources.cpu, load=(20.0, 9.0, 3.0), iowait_percent=60.0, steal_percent=20.0
    )
    resources = msgspec.structs.replace(resources, cpu=cpu, pressure=NONE)

    alerts = fired(lambda s: scene(s, host=HOST, resources=resources), 300)

    assert set(alerts) == {"R12b", "R13b", "R15"}
    assert alerts["R12b"].value == pytest.approx(2.5)


def test_a_killed_process_is_told_at_once_and_of_the_limit_where_there_is_one() -> None:
    def at(seconds: float) -> Snapshot:
        kills = 7 if seconds < 5 else 9
        return scene(seconds, resources=machine(cgroup=limited(1.0, 0.0, kills=kills)))

    assert "R16" not in fired(at, 4)
    alert = fired(at, 6)["R16"]
    assert (alert.subject, alert.severity, alert.value) == ("cgroup limit", Severity.CRITICAL, 2.0)
    engine = AlertEngine([rule_of(catalogue(), "R16")])
    known = [bool(engine.update(every_second(at(float(second))))[0]) for second in range(700)]
    assert all(known[5:600])
    assert not known[-1]


def test_swapping_in_counts_only_in_distress() -> None:
    def at(waits: float) -> Snapshot:
        resources = msgspec.structs.replace(
            machine(),
            swap=msgspec.structs.replace(full_snapshot().resources.swap, in_rate=5e6),
            pressure=Pressure(NONE, Stall(waits, waits, waits, waits), NONE),
        )
        return scene(0.0, resources=resources)

    rule = rule_of(catalogue(), "R16b")
    assert readings(rule, at(0.5))["host"].value == 0.0
    assert readings(rule, at(6.0))["host"].value == 5e6


def file_system(percent: float, left: float, inodes: float = 5.0) -> FileSystem:
    return FileSystem("/data", "/dev/sdb", "ext4", 10**12, int(left), percent, inodes)


@pytest.mark.parametrize(
    ("percent", "left", "expected"),
    [
        (89.0, 1e9, {}),
        (95.0, 5e10, {"R17": Severity.WARNING}),
        (99.0, 5e10, {"R17": Severity.WARNING}),
        (99.0, 1e9, {"R17": Severity.CRITICAL}),
    ],
)
def test_a_large_disk_is_critical_only_when_little_is_left(
    percent: float, left: float, expected: dict[str, Severity]
) -> None:
    found = FileSystems((file_system(percent, left),))

    alerts = fired(lambda s: scene(s, file_systems=found), 100)

    assert {rule: alert.severity for rule, alert in alerts.items()} == expected


def test_inodes_run_out() -> None:
    found = FileSystems((file_system(10.0, 1e12, inodes=95.0),))

    assert set(fired(lambda s: scene(s, file_systems=found), 100)) == {"R18"}


def hours(course: Callable[[int], float]) -> float:
    """Return the hours to full after 40 minutes in which so many bytes were left."""
    rule = rule_of(catalogue(), "R17b")
    value = 0.0
    for minute in range(40):
        rows = (file_system(70.0, course(minute)),)
        snapshot = scene(60.0 * minute, file_systems=FileSystems(rows))
        value = readings(rule, snapshot)["/data"].value
    return value


def test_a_disk_that_fills_has_hours_left() -> None:
    # 1 GB a minute of 300 GB: five hours at the begin, 40 minutes of which have passed.
    assert hours(lambda minute: 3e11 - 1e9 * minute) == pytest.approx(4.35, abs=0.02)
    assert hours(lambda minute: 3e11) == 1000.0
    assert hours(lambda minute: 3e11 + 1e9 * minute) == 1000.0
    assert hours(lambda minute: 3e11 + 2e10 * (minute % 2)) == 1000.0


def test_descriptors_run_out() -> None:
    found = Descriptors(950, 1000, (ProcessDescriptors(7, "leaky", 75, 100),), 40)

    alerts = fired(lambda s: scene(s, descriptors=found), 100)

    assert {rule: (a.subject, a.severity) for rule, a in alerts.items()} == {
        "R19": ("leaky (7)", Severity.WARNING),
        "R19b": ("host", Severity.CRITICAL),
    }
    assert alerts["R19"].evidence == ("leaky (7) has 75 of 100 open",)


def redis(**changes: object) -> RedisServer:
    return msgspec.structs.replace(full_snapshot().redis, **changes)


def test_redis_in_want() -> None:
    server = redis(
        evictions_rate=50.0, rejections_rate=1.0, memory_policy="noeviction",
        memory_used=480_000_000,
    )  # fmt: skip

    alerts = fired(lambda s: scene(s, redis=server), 100)

    assert {rule: alert.severity for rule, alert in alerts.items()} == {
        "R23": Severity.WARNING,
        "R23b": Severity.CRITICAL,
        "R25": Severity.CRITICAL,
    }


def test_a_cache_is_full_by_design() -> None:
    server = redis(memory_used=511_000_000, memory_policy="allkeys-lru")

    assert fired(lambda s: scene(s, redis=server), 100) == {}


def test_redis_that_answers_slower_than_it_used_to() -> None:
    def at(seconds: float) -> Snapshot:
        slow = seconds > 600
        return scene(seconds, redis=redis(latency=(0.02 if slow else 0.001) + seconds / 1e7))

    assert fired(at, 600) == {}
    alerts = fired(at, 700)
    assert set(alerts) == {"R25b"}
    assert "x the usual" in alerts["R25b"].message


def caching(ratio: float, lookups: int) -> Service:
    tier = CacheTier("overall", HitRatio(ratio, ratio, ratio), NONE, NONE, NONE, lookups)
    half = HitRatio(0.6, 0.6, 0.6)
    memory = CacheTier("memory", half, 40, 4000, 2.0, lookups, items_limit=50)
    cache = CacheNamespace("pages", (memory, tier), ghost_ratio=0.94)
    return Service("shop", 1, ("box",), 0.1, caches=(cache,))


@pytest.mark.parametrize(
    ("ratio", "lookups", "expected"),
    [
        (0.85, 5000, None),
        (0.6, 5000, Severity.WARNING),
        (0.3, 5000, Severity.CRITICAL),
        (0.3, 500, None),
    ],
)
def test_a_cache_is_compared_with_its_own_past(
    ratio: float, lookups: int, expected: Severity | None
) -> None:
    def at(seconds: float) -> Snapshot:
        service = caching(ratio, lookups) if seconds > 600 else caching(0.9, 5000)
        return scene(seconds, services=(service,), redis=redis())

    alert = fired(at, 800).get("R24")

    assert (alert and alert.severity) == expected
    if alert is not None:
        assert alert.subject == "shop cache pages"
        assert "memory holds 40 of 50 items" in alert.evidence
        assert "memory answers 60 %, with twice the room it would answer 94 %" in alert.evidence
        assert "its usual 0.90" in alert.message


def test_memory_that_is_cut_off_from_changes_is_told() -> None:
    def at(seconds: float, lost: bool = True) -> Snapshot:
        reset = CacheCoherence("lost" if lost else "live", "reset", "", NONE, 1.5, 0.0, 1)
        refused = CacheCoherence("off", "refused", "ACL SETUSER", NONE, 5.0, 0.0, 0)
        process = CacheProcess("box:7:a", "box", 7, State.OK, (), reset)
        caches = (
            CacheNamespace("pages", (), (process,), reset),
            CacheNamespace("users", (), (), refused),
            CacheNamespace("other", ()),
        )
        service = Service("shop", 1, ("box",), 0.1, caches=caches)
        return scene(seconds, services=(service,))

    assert fired(lambda s: at(s, s > 100), 110) == {}
    alerts = fired(at, 60)
    assert set(alerts) == {"R24b"}
    alert = alerts["R24b"]
    assert (alert.subject, alert.severity) == ("shop cache pages", Severity.WARNING)
    assert alert.evidence == ("box 7: reset",)
    assert "Redis has to answer every look-up" in alert.message


def test_late_loops_and_long_collections() -> None:
    row = Instance(
        "box:7:ab", "box", 7, State.OK, 0.1, 60.0, 80.0, 1,
        loop_lag=LoopLag(0.08, 0.6, 100, 10.0), gc_pauses=GcPauses(8.0, 0.2, 30, 10.0),
    )  # fmt: skip
    service = Service("shop", 1, ("box",), 0.1, instances=(row,))

    alerts = fired(lambda s: scene(s, services=(service,)), 60)

    assert {rule: alert.severity for rule, alert in alerts.items()} == {
        "R20": Severity.WARNING,
        "R20b": Severity.CRITICAL,
        "R21": Severity.WARNING,
        "R21b": Severity.WARNING,
    }
    assert alerts["R20"].inhibited_by
    assert alerts["R20"].group == "shop"


def test_too_few_ticks_of_a_loop_say_nothing() -> None:
    row = Instance(
        "box:7:ab", "box", 7, State.OK, 0.1, 60.0, 80.0, 1, loop_lag=LoopLag(0.9, 0.9, 9, 10.0)
    )
    service = Service("shop", 1, ("box",), 0.1, instances=(row,))

    assert fired(lambda s: scene(s, services=(service,)), 60) == {}


def server(name: str, **changes: object) -> PoolServer:
    usual = PoolServer(name, f"{name}:80", "ready", "", 1, 40.0, 40.0, 10.0, 1, 0, 0.5, False)
    return msgspec.structs.replace(usual, **changes)


def pool(*servers: PoolServer) -> Pool:
    return Pool("shop", servers or tuple(server(f"web-{n}") for n in range(3)))


def test_a_server_above_a_threshold() -> None:
    reason = "cpu 93 % > 80 %"
    burning = pool(server("a", overloaded=True, reason=reason), server("b"), server("c"))

    alerts = fired(lambda s: scene(s, pools=(burning,)), 30)

    assert {rule: alert.subject for rule, alert in alerts.items()} == {"R27": "shop/a"}
    assert reason in alerts["R27"].message


def test_servers_that_are_gone_and_a_pool_that_is_short_of_them() -> None:
    gone = server("a", state="down", reason="no heartbeat for 40 s", last_seen=40.0)
    alerts = fired(lambda s: scene(s, pools=(pool(gone, server("b"), server("c")),)), 30)
    assert {rule: alert.severity for rule, alert in alerts.items()} == {"R27b": Severity.CRITICAL}

    over = [server(name, overloaded=True, reason="cpu") for name in "bc"]
    alerts = fired(lambda s: scene(s, pools=(pool(gone, *over),)), 30)
    assert alerts["R26"].severity is Severity.CRITICAL
    assert alerts["R26"].message == "no server can take requests"
    assert alerts["R27"].inhibited_by == alerts["R26"].fingerprint


def test_who_is_drained_on_purpose_is_not_missed() -> None:
    servers = [server("a", state="drain"), server("b", state="maint"), server("c")]

    assert fired(lambda s: scene(s, pools=(pool(*servers),)), 60) == {}


def test_a_server_that_comes_and_goes() -> None:
    def at(seconds: float) -> Snapshot:
        over = int(seconds) // 5 % 2 == 1
        return scene(seconds, pools=(pool(server("a", overloaded=over), server("b")),))

    assert "R28" not in fired(at, 20)
    assert fired(at, 40)["R28"].subject == "shop/a"


def test_one_server_gets_more_than_the_others() -> None:
    def at(seconds: float, favoured: float = 3.0) -> Snapshot:
        many, few = int(50 * favoured * seconds), int(10 * seconds)
        rows = [server("a", picks=many), server("b", picks=few), server("c", picks=few)]
        return scene(seconds, pools=(pool(*rows),))

    assert "R28b" in fired(at, 120)
    assert fired(lambda s: at(s, 0.22), 200) == {}


def lost(name: str, state: State, reason: str) -> SourceStatus:
    return SourceStatus(name, state, reason, "fix it", 5.0, 0.1, 1.0, 0, 10)


def with_sources(seconds: float, *changed: SourceStatus) -> Snapshot:
    names = {status.name for status in changed}
    rest = tuple(status for status in ALL_WELL if status.name not in names)
    return scene(seconds, sources=(*rest, *changed))


def test_an_outage_of_redis_is_one_alert() -> None:
    down = [lost(n, State.UNAVAILABLE, "Redis refused") for n in ("redis", "services", "pools")]

    alerts = fired(lambda s: with_sources(s, *down), 30)

    assert {rule: alert.subject for rule, alert in alerts.items()} == {"R31": "redis"}
    assert alerts["R31"].message == "Redis refused"
    assert alerts["R31"].hint == "fix it"


def test_what_a_machine_never_had_is_not_lost() -> None:
    never = lost("cgroup", State.UNAVAILABLE, "this system has no control groups")
    assert fired(lambda s: with_sources(s, never), 60) == {}

    def at(seconds: float) -> Snapshot:
        return with_sources(seconds) if seconds < 5 else with_sources(seconds, never)

    assert fired(at, 60)["R31"].subject == "cgroup"


def test_a_file_system_that_hangs() -> None:
    found = FileSystems((file_system(50.0, 1e12),), hung=("/mnt/nfs",))

    alert = fired(lambda s: scene(s, file_systems=found), 30)["R31"]

    assert alert.subject == "/mnt/nfs"
    assert "does not answer" in alert.message


def test_a_source_that_takes_as_long_as_its_interval() -> None:
    slow = SourceStatus("services", State.OK, "", "", 0.1, 0.9, 1.0, 0, 10)

    alert = fired(lambda s: with_sources(s, slow), 120)["R31b"]

    assert alert.subject == "reading services"
    assert "90 %" in alert.message


def test_a_wrong_clock() -> None:
    row = Instance("box:7:ab", "box", 7, State.OK, 0.1, 60.0, 8.0, 1, clock_ahead=-7.0)
    service = Service("shop", 1, ("box",), 0.1, instances=(row,))

    assert "7.0 s" in fired(lambda s: scene(s, services=(service,)), 100)["R31c"].message


def test_every_rule_has_words_a_pane_and_levels_that_fit() -> None:
    rules = catalogue()
    assert len({rule.id for rule in rules}) == len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        levels = rule.levels
        for enter, clear in ((levels.warn, levels.warn_clear), (levels.crit, levels.crit_clear)):
            if enter is not None and clear is not None:
                assert clear <= enter if levels.above else clear >= enter, rule.id
        assert rule.title
        assert levels.warn is not None or levels.crit is not None
        assert set(rule.inhibited_by) <= {other.id for other in rules}
    assert {rule.id for rule in MORE_RULES} == {"R01", "R02", "R32"}


def test_two_catalogues_share_no_memory() -> None:
    def at(seconds: float, kills: int) -> Snapshot:
        return scene(seconds, resources=machine(cgroup=limited(1.0, 0.0, kills=kills)))

    one, other = rule_of(catalogue(), "R16"), rule_of(catalogue(), "R16")
    readings(one, at(0.0, 1))

    assert readings(other, at(1.0, 5))["cgroup limit"].value == 0.0
    assert readings(one, at(1.0, 5))["cgroup limit"].value == 4.0


def test_quantiles_in_wide_buckets_are_told_to_those_who_ask() -> None:
    rule = replace(rule_of(catalogue(), "R32"), enabled=True)
    shop = full_snapshot().services
    assert not isinstance(shop, Absent)

    assert readings(rule, scene(0.0, services=shop))


def absences() -> Iterator[Snapshot]:
    yield scene(0.0)
    yield scene(0.0, resources=Resources(NONE, NONE, NONE, NONE, NONE, NONE, NONE), redis=NONE)


@pytest.mark.parametrize("snapshot", absences())
def test_what_is_missing_is_no_zero(snapshot: Snapshot) -> None:
    for rule in catalogue():
        if rule.id not in ("R31", "R31b"):
            assert readings(rule, snapshot) == {}, rule.id


def test_words_are_true_on_both_sides_of_the_level() -> None:
    words = rule_of(catalogue(), "R10").message(Reading("host", 79.5), 80.0)
    assert words == "CPU at 79.5 %, limit 80 %"
