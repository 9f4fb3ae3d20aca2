"""Rules for pools of both origins: panic, minimum, maximum, queues, checks and errors."""

from __future__ import annotations

import msgspec
import pytest
from alert_scenes import ALL_WELL, readings, rule_of, scene

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.engine import AlertEngine
from perftui.snapshot import (
    Absent,
    Alert,
    AlertState,
    Pool,
    PoolAdvice,
    PoolServer,
    Severity,
    Snapshot,
    SourceStatus,
    State,
)

WELL = tuple(
    msgspec.structs.replace(status, interval=1.0)
    for status in (*ALL_WELL, SourceStatus("haproxy", State.OK, "", "", 0.1, 0.01, 1.0, 0, 10))
)
SOCKET = "/run/haproxy/admin.sock"


def server(name: str, **changes: object) -> PoolServer:
    usual = PoolServer(name, f"{name}:80", "ready", "", 1, 40.0, 40.0, 10.0, 1, 0, 0.5, False)
    return msgspec.structs.replace(usual, **changes)


def advice(**changes: object) -> PoolAdvice:
    usual = PoolAdvice(3, 3, "", "cpu", 50.0, 70.0, "", "target", 2, 3, 5.0)
    return msgspec.structs.replace(usual, **changes)


def fired(seconds: int, **parts: object) -> dict[str, Alert]:
    engine = AlertEngine(catalogue())
    alerts: tuple[Alert, ...] = ()
    for second in range(seconds + 1):
        alerts, _ = engine.update(scene(float(second), sources=WELL, **parts))
    return {alert.rule: alert for alert in alerts if alert.state is AlertState.FIRING}


def test_all_servers_above_a_threshold_is_panic_and_an_alert() -> None:
    over = tuple(server(n, overloaded=True, eligible=True, kept=True, reason="cpu") for n in "abc")
    alert = fired(15, pools=(Pool("shop", over, eligible=3, panic=True),))["R26"]
    assert alert.severity is Severity.CRITICAL
    assert "0 of 3 servers" in alert.message
    assert "panic: balancers use all live servers" in alert.message


def test_strict_pool_without_an_eligible_server() -> None:
    over = tuple(server(n, overloaded=True, eligible=False, reason="cpu") for n in "abc")
    alert = fired(15, pools=(Pool("shop", over, eligible=0, panic=False),))["R26"]
    assert alert.severity is Severity.CRITICAL
    assert alert.message == "no server can take requests"


def test_the_hint_is_the_command_that_brings_a_server_back() -> None:
    rows = (
        server("a b", state="drain", eligible=False),
        server("b", state="down", eligible=False),
    )
    alert = fired(15, pools=(Pool("my shop", rows),))["R26"]
    assert "perftui pool ready 'my shop' 'a b'" in alert.hint


@pytest.mark.parametrize(("minimum", "fires"), [(2, False), (3, True), (None, False)])
def test_fewer_eligible_servers_than_the_minimum(minimum: int | None, fires: bool) -> None:
    rows = (server("a"), server("b"), server("c", state="drain", eligible=False))
    pool = Pool("shop", rows, eligible=2, advice=advice(min_instances=minimum))
    alerts = fired(20, pools=(pool,))
    assert ("R26b" in alerts) is fires
    if fires:
        assert alerts["R26b"].severity is Severity.CRITICAL
        assert alerts["R26b"].message == "2 eligible servers, the minimum of its scaling is 3"
        assert "perftui pool ready shop c" in alerts["R26b"].hint


@pytest.mark.parametrize(
    ("told", "fires"),
    [
        (advice(value=80.0), True),
        (advice(value=70.0), False),
        (advice(value=80.0, max_instances=4), False),
        (advice(value=80.0, max_instances=None), False),
        (advice(value=80.0, age=3000.0), False),
    ],
)
def test_a_pool_at_its_maximum_that_is_still_above(told: PoolAdvice, fires: bool) -> None:
    pool = Pool("shop", (server("a"), server("b"), server("c")), advice=told)
    alerts = fired(70, pools=(pool,))
    assert ("R30" in alerts) is fires
    if fires:
        assert alerts["R30"].message == "has all 3 servers it may have, and cpu is 80, above 70"


def backend(*servers: PoolServer) -> Pool:
    return Pool("shop", servers, origin="haproxy", endpoint=SOCKET)


def test_a_backend_of_haproxy_is_told_from_a_pool_of_the_same_name() -> None:
    down = backend(server("a", state="down", eligible=False, last_seen=50.0))
    alert = fired(15, pools=(Pool("shop", (server("a"),)),), haproxy=(down,))["R26"]
    assert alert.subject == f"shop@{SOCKET}"


def test_queue_and_errors_of_haproxy() -> None:
    busy = backend(server("a", queue=3, error_percent=30.0), server("b", queue=0))
    alerts = fired(40, haproxy=(busy,))
    assert alerts["R29"].message == "3 requests wait for a free server"
    assert alerts["R29c"].severity is Severity.CRITICAL
    calm = backend(server("a", queue=0, error_percent=1.0))
    assert fired(40, haproxy=(calm,)) == {}


def test_checks_that_take_a_server_out_are_counted_and_a_restart_is_none() -> None:
    rule = rule_of(catalogue(), "R29b")

    def value(second: float, down: int) -> float:
        found: Snapshot = scene(second, haproxy=(backend(server("a", checks_down=down)),))
        return readings(rule, found)[f"shop@{SOCKET}/a"].value

    assert value(0, 7) == 0
    assert value(5, 9) == 2
    assert value(100, 9) == 2
    assert readings(rule, scene(101, haproxy=Absent(State.UNAVAILABLE, "gone"))) == {}
    assert value(102, 10) == 3
    assert value(800, 10) == 0
    assert value(801, 0) == 0
