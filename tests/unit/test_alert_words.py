"""What rules say stays true while their value swings, and rules that have a memory keep it."""

from __future__ import annotations

import msgspec
import pytest
from alert_scenes import HOST, machine, readings, rule_of, scene
from sample import full_snapshot

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Reading
from perftui.snapshot import (
    Absent,
    Alert,
    AlertState,
    Cgroup,
    FileSystem,
    FileSystems,
    Instance,
    LoopLag,
    Operation,
    OperationWindow,
    Pool,
    PoolServer,
    Pressure,
    Scrape,
    Service,
    Snapshot,
    Stall,
    State,
)

NONE = Absent(State.UNAVAILABLE, "not here")


def words(rule_id: str, value: float, level: float, subject: str = "s", n: int = 0) -> str:
    return rule_of(catalogue(), rule_id).message(Reading(subject, value, n), level)


@pytest.mark.parametrize(
    ("rule_id", "value", "level", "expected"),
    [
        ("R16", 0.0, 0.5, "no more processes"),
        ("R16", 1.0, 0.5, "killed 1 process for"),
        ("R16", 2.0, 0.5, "killed 2 processes for"),
        ("R16b", 0.0, 1.0, "not wait"),
        ("R17", 95.04, 90.0, "95.0 % full, limit 90 %"),
        ("R17", 98.0, 90.0, "at least 98.0 % full"),
        ("R17b", 1000.0, 24.0, "does not fill up any more"),
        ("R17b", 30.0, 24.0, "full in 30.0 h if it goes on like that, limit 24 h"),
        ("R18b", 1000.0, 24.0, "does not grow any more"),
        ("R23b", 0.0, 0.01, "not refused any more"),
        ("R23b", 3.0, 0.01, "maxclients is reached"),
        ("R27", 0.0, 0.5, "is no more, but was above a threshold"),
        ("R27b", 0.0, 3.0, "sends heartbeats again"),
        ("R27b", 7.0, 3.0, "no heartbeat for 7 s, limit 3 s"),
        ("R31", 0.0, 0.0, "gives readings again"),
        ("R31c", 1.9, 2.0, "1.9 s from the clock of Redis, limit 2 s"),
    ],
)
def test_words_are_of_the_value_and_not_of_the_alert(
    rule_id: str, value: float, level: float, expected: str
) -> None:
    assert expected in words(rule_id, value, level)


@pytest.mark.parametrize(
    ("value", "n", "expected"),
    [
        (0.0, 3, "no server can take requests"),
        (100.0, 1, "1 of 1 server (100 %)"),
        (33.3, 3, "1 of 3 servers (33 %)"),
    ],
)
def test_servers_are_counted_in_words(value: float, n: int, expected: str) -> None:
    assert expected in words("R26", value, 50.0, n=n)


def test_no_rule_claims_to_be_beyond_a_level_that_it_has_left() -> None:
    for rule in catalogue():
        enter, clear = rule.levels.warn, rule.levels.warn_clear
        if enter is None or clear is None or enter == clear:
            continue
        between = (enter + clear) / 2
        said = rule.message(Reading("s", between, 1000), enter)
        assert not any(word in said for word in ("below", "more than", "longer")), (rule.id, said)


def group(limit: float | None, cpu: float = 99.0, memory_limit: int | None = None) -> Cgroup:
    return Cgroup(2, "/shop", limit, 1.0, cpu, 0.0, memory_limit, 10, 1.0, 0)


def test_a_limit_as_large_as_the_machine_limits_nothing() -> None:
    resources = machine(cpu=90.0, memory=97.0, cgroup=group(8.0, 20.0, 10**10))
    snapshot = scene(0.0, host=HOST, resources=resources)

    for rule_id in ("R09", "R10"):
        assert set(readings(rule_of(catalogue(), rule_id), snapshot)) == {"host"}
    smaller = machine(cpu=90.0, memory=97.0, cgroup=group(7.5, 20.0, 10**9))
    snapshot = scene(0.0, host=HOST, resources=smaller)
    for rule_id in ("R09", "R10"):
        assert set(readings(rule_of(catalogue(), rule_id), snapshot)) == {"cgroup limit"}


def throttled(seconds: float, percent: float, periods: int) -> Snapshot:
    cgroup = msgspec.structs.replace(group(0.5), throttled_percent=percent, periods=periods)
    return scene(seconds, host=HOST, resources=machine(cgroup=cgroup))


def test_throttling_is_of_all_periods_of_a_minute() -> None:
    rule = rule_of(catalogue(), "R14")
    for second in range(20):
        # Always awake and hardly throttled, but for one second with a single period.
        alone = second == 10
        found = readings(rule, throttled(second, 100.0 if alone else 10.0, 1 if alone else 10))
    (reading,) = found.values()
    assert reading.n == 191
    assert reading.value == pytest.approx(100 * 20 / 191)


def test_few_periods_say_nothing_and_a_minute_of_them_that_nothing_is_held_up() -> None:
    rule = rule_of(catalogue(), "R14")
    (reading,) = readings(rule, throttled(0.0, 100.0, 1)).values()
    assert reading.n is not None
    assert reading.n < rule.least
    for second in range(1, 62):
        (reading,) = readings(rule, throttled(second, 100.0, 1)).values()
    assert (reading.value, reading.n) == (0.0, None)
    assert "hardly runs" in rule.message(reading, 25.0)


def test_swapping_in_says_nothing_where_nobody_tells_of_pressure() -> None:
    swap = msgspec.structs.replace(full_snapshot().resources.swap, in_rate=5e6)
    resources = msgspec.structs.replace(
        machine(), swap=swap, pressure=Pressure(NONE, NONE, Stall(1.0, 1.0, 1.0, 1.0))
    )
    assert readings(rule_of(catalogue(), "R16b"), scene(0.0, resources=resources)) == {}


def disk(percent: float = 95.0, inodes: float = 5.0) -> FileSystem:
    return FileSystem("/my data", "/dev/sdb", "ext4", 10**12, 10**10, percent, inodes)


def test_commands_of_hints_can_be_pasted() -> None:
    for rule_id in ("R17", "R17b", "R18", "R18b"):
        hint = rule_of(catalogue(), rule_id).hint(Reading("/my data", 1.0))
        assert " '/my data' " in hint
    assert "/proc/7/fd" in rule_of(catalogue(), "R19").hint(Reading("leaky (x) (7)", 80.0))


def test_inodes_have_hours_too() -> None:
    rule = rule_of(catalogue(), "R18b")
    for minute in range(40):
        rows = FileSystems((disk(inodes=70.0 + 0.1 * minute),))
        found = readings(rule, scene(60.0 * minute, file_systems=rows))
    # 26.1 % are left, of which 6 % go in an hour.
    assert found["/my data"].value == pytest.approx(26.1 / 6, abs=0.01)


def states(engine: AlertEngine, snapshot: Snapshot, rule: str) -> Alert | None:
    sources = tuple(msgspec.structs.replace(s, interval=1.0) for s in snapshot.sources)
    alerts, _ = engine.update(msgspec.structs.replace(snapshot, sources=sources))
    return next((alert for alert in alerts if alert.rule == rule), None)


@pytest.mark.parametrize("answer", ["hung", "refused"])
def test_a_full_disk_that_does_not_answer_has_not_been_emptied(answer: str) -> None:
    engine = AlertEngine(catalogue())
    for second in range(70):
        alert = states(engine, scene(second, file_systems=FileSystems((disk(),))), "R17")
    assert alert is not None
    assert alert.state is AlertState.FIRING
    silent = FileSystems((), hung=("/my data",))
    if answer == "refused":
        silent = FileSystems((), refused=(("/my data", "Input/output error"),))
    for second in range(70, 140):
        snapshot = scene(second, file_systems=silent)
        lost = states(engine, snapshot, "R17")
    assert lost is not None
    assert (lost.state, lost.since) == (AlertState.NODATA, alert.since)
    assert "/my data" in lost.reason
    source = states(engine, snapshot, "R31")
    assert source is not None
    assert source.subject == "/my data"


def test_a_mount_that_this_user_never_could_ask_is_not_lost() -> None:
    engine = AlertEngine(catalogue())
    refused = FileSystems((), refused=(("/run/other", "Permission denied"),))
    for second in range(30):
        assert states(engine, scene(second, file_systems=refused), "R31") is None


def late(state: State, processes: int) -> Service:
    row = Instance(
        "box:7:ab", "box", 7, state, 0.1, 60.0, 80.0, 1,
        loop_lag=LoopLag(0.08, 0.6, 100, 10.0) if state is State.OK else NONE,
    )  # fmt: skip
    return Service("shop", processes, ("box",), 0.1, instances=(row,))


def test_a_process_that_fell_silent_is_not_well() -> None:
    engine = AlertEngine(catalogue())
    for second in range(30):
        alert = states(engine, scene(second, services=(late(State.OK, 1),)), "R20b")
    assert alert is not None
    assert alert.state is AlertState.FIRING
    for second in range(30, 90):
        lost = states(engine, scene(second, services=(late(State.STALE, 0),)), "R20b")
        assert lost is not None
        assert lost.state is AlertState.NODATA
    again = states(engine, scene(90, services=(late(State.OK, 1),)), "R20b")
    assert again is not None
    assert (again.state, again.since) == (AlertState.FIRING, alert.since)
    # One that said farewell has gone.
    for second in range(91, 180):
        gone = states(engine, scene(second, services=()), "R20b")
    assert gone is None


def failing(processes: int) -> Service:
    windows: tuple[OperationWindow, ...] = ()
    if processes:
        operation = Operation("pay", 10.0, 0.1, NONE, NONE, NONE, 0.5, 1.0, 1000)
        windows = (OperationWindow(300.0, 300.0, (operation,)),)
    return Service("shop", processes, ("box",), 0.1, windows=windows, origin="scrape")


def test_a_service_that_nobody_can_reach_has_not_become_well() -> None:
    engine = AlertEngine(catalogue())

    def at(second: int, processes: int) -> Alert | None:
        scrape = Scrape((), (failing(processes),))
        return states(engine, scene(second, scrape=scrape), "R07")

    for second in range(70):
        alert = at(second, 1)
    assert alert is not None
    assert alert.state is AlertState.FIRING
    for second in range(70, 400):
        lost = at(second, 0)
    assert lost is not None
    assert (lost.state, lost.reason) == (
        AlertState.NODATA, "no process of shop tells of itself",
    )  # fmt: skip
    again = at(400, 1)
    assert again is not None
    assert (again.state, again.since) == (AlertState.FIRING, alert.since)


def test_a_single_block_of_an_event_loop_is_no_alert() -> None:
    """It stays in the readings of ten seconds, each up to four seconds old, and goes with them."""
    engine = AlertEngine(catalogue())
    well = msgspec.structs.replace(
        late(State.OK, 1).instances[0], loop_lag=LoopLag(0.001, 0.002, 100, 10.0)
    )
    for second in range(40):
        service = late(State.OK, 1)
        if not 5 <= second < 19:
            service = msgspec.structs.replace(service, instances=(well,))
        for rule in ("R20", "R20b"):
            alert = states(engine, scene(second, services=(service,)), rule)
            assert alert is None or alert.state is AlertState.PENDING


def server(name: str, **changes: object) -> PoolServer:
    usual = PoolServer(name, f"{name}:80", "ready", "", 1, 40.0, 40.0, 10.0, 1, 0, 0.5, False)
    return msgspec.structs.replace(usual, **changes)


def test_changes_of_a_server_are_not_forgotten_while_nobody_tells_of_pools() -> None:
    rule = rule_of(catalogue(), "R28")
    for second in range(40):
        over = second // 5 % 2 == 1
        pool = Pool("shop", (server("a", overloaded=over), server("b")))
        before = readings(rule, scene(second, pools=(pool,)))
    assert readings(rule, scene(41, pools=NONE)) == {}
    assert readings(rule, scene(42, pools=(pool,)))["shop/a"].value == before["shop/a"].value > 4


@pytest.mark.parametrize(("shares", "fires"), [((1, 9), True), ((4, 6), False)])
def test_two_servers_are_compared_with_each_other(shares: tuple[int, int], fires: bool) -> None:
    rule = rule_of(catalogue(), "R28b")
    for second in range(0, 120, 10):
        rows = tuple(
            server(name, picks=20 * share * second)
            for name, share in zip("ab", shares, strict=True)
        )
        found = readings(rule, scene(second, pools=(Pool("shop", rows),)))["shop"]
    assert (found.value > 2.0) is fires
    if fires:
        assert "b gets 9.0 x the requests of the other server" in rule.message(found, 2.0)
        assert "b: " in rule.evidence(scene(0.0), found)[0]
