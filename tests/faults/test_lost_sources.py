"""Alerts whose source dies while they fire: they stay, marked, and do not fire anew on return."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from page_server import PageServer, answer
from recorded_prometheus import RecordedPrometheus, error
from redis_fixture import RedisProcess

from perftui.config import Monitor as MonitorSettings
from perftui.config import Prometheus, Redis, Scrape, Settings
from perftui.config.rule_settings import RuleSettings
from perftui.monitor import Monitor
from perftui.snapshot import Alert, AlertState, Snapshot

ROOT = Path(__file__).resolve().parents[2]
HANG = 40.0
AT_ONCE = {name: RuleSettings(hold=0.0) for name in ("R07", "R20", "R20b", "R21", "R25", "R31")} | {
    "R21b": RuleSettings(hold=0.0, warn="20ms", warn_clear="10ms")
}
FIRING, NODATA = AlertState.FIRING, AlertState.NODATA


@contextmanager
def watching(**parts: Any) -> Iterator[Monitor]:
    sampled = MonitorSettings(
        interval=0.25, sources=("redis", "services", "pools", "scrape", "prometheus")
    )
    settings = Settings(monitor=sampled, rules=AT_ONCE, **parts)
    monitor = Monitor(settings)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


def wait(monitor: Monitor, accept: Callable[[Snapshot], bool]) -> Snapshot:
    snapshot = monitor.mailbox.wait(HANG, accept)
    assert snapshot is not None, "it did not happen"
    return snapshot


def alert_of(snapshot: Snapshot, rule: str, part: str = "") -> Alert | None:
    found = (each for each in snapshot.alerts if each.rule == rule and part in each.subject)
    return next(found, None)


def wait_for(monitor: Monitor, rule: str, state: AlertState, part: str = "") -> Alert:
    def is_so(snapshot: Snapshot) -> bool:
        found = alert_of(snapshot, rule, part)
        return found is not None and found.state is state

    found = alert_of(wait(monitor, is_so), rule, part)
    assert found is not None
    return found


def intervals(monitor: Monitor, alert: Alert) -> int:
    snapshot = monitor.mailbox.wait(HANG, lambda _: True)
    assert snapshot is not None
    return sum(event.fingerprint == alert.fingerprint for event in snapshot.alert_events)


def test_redis_freezes_and_dies_while_its_alert_fires(
    start_redis: Callable[..., RedisProcess],
) -> None:
    # An empty server fills that much already.
    server = start_redis(maxmemory="600kb", maxmemory_policy="noeviction")
    with watching(redis=Redis(url=server.url)) as monitor:
        first = wait_for(monitor, "R25", FIRING)
        server.freeze()
        frozen = wait_for(monitor, "R25", NODATA)
        assert "did not answer" in frozen.reason
        assert frozen.inhibited_by == wait_for(monitor, "R31", FIRING, "redis").fingerprint
        server.thaw()
        again = wait_for(monitor, "R25", FIRING)
        server.kill()
        dead = wait_for(monitor, "R25", NODATA)
        assert "refused" in dead.reason
        server.start()
        last = wait_for(monitor, "R25", FIRING)
        seen = (first, frozen, again, dead, last)
        assert {alert.fingerprint for alert in seen} == {first.fingerprint}
        assert {alert.since for alert in seen} == {first.since}
        assert intervals(monitor, first) == 1


@contextmanager
def service(url: str, name: str, how: str) -> Iterator[subprocess.Popen[bytes]]:
    program = Path(__file__).with_name("late_service.py")
    child = subprocess.Popen(
        [sys.executable, str(program), url, name, how], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_late_loops_and_long_pauses_of_a_service_reach_the_alerts(
    redis_server: RedisProcess,
) -> None:
    """From the probes in the service through its reports to the rules, and through an outage."""
    url = redis_server.url
    with (
        service(url, "late", "late") as late,
        service(url, "well", "well") as well,
        watching(redis=Redis(url=url)) as monitor,
    ):
        mine = f":{late.pid}:"
        found = {
            rule: wait_for(monitor, rule, FIRING, mine) for rule in ("R20", "R20b", "R21", "R21b")
        }
        assert found["R20"].group == "late"
        assert found["R20b"].value is not None
        assert float(str(found["R20b"].value)) > 0.25
        assert found["R21"].evidence[0] == "process of late"

        redis_server.freeze()
        lost = wait_for(monitor, "R20b", NODATA, mine)
        redis_server.thaw()
        again = wait_for(monitor, "R20b", FIRING, mine)
        assert lost.since == again.since == found["R20b"].since
        assert intervals(monitor, again) == 1

        late.send_signal(signal.SIGKILL)
        gone = wait_for(monitor, "R20b", NODATA, mine)
        assert "tells nothing" in gone.reason
        assert gone.since == again.since
        snapshot = wait(monitor, lambda _: True)
        others = [alert for alert in snapshot.alerts if f":{well.pid}:" in alert.subject]
        assert not {alert.rule for alert in others} & {"R21", "R21b"}
        # A machine that is too busy makes every loop late, but not as late as one that is blocked.
        blocked = float(str(found["R20"].value))
        assert all(float(str(one.value)) < blocked / 2 for one in others if one.rule == "R20")


def test_a_page_of_metrics_dies_while_its_alert_fires() -> None:
    count = 0

    def page(connection: object, request: bytes) -> None:
        nonlocal count
        count += 100
        name = "operation_execution_time_seconds"
        body = (
            f'# TYPE {name} summary\n{name}_count{{operation="pay"}} {2 * count}\n'
            f'{name}_sum{{operation="pay"}} {count}\n'
            "# TYPE operation_count_total counter\n"
            f'operation_count_total{{operation="pay",status="success"}} {count}\n'
            f'operation_count_total{{operation="pay",status="failure"}} {count}\n'
        )
        connection.sendall(answer(body.encode()))  # type: ignore[attr-defined]

    server = PageServer(page)
    with watching(scrape=Scrape(urls=(server.url,), interval=0.5)) as monitor:
        try:
            first = wait_for(monitor, "R07", FIRING)
        finally:
            server.stop()
        wait_for(monitor, "R31", FIRING, str(server.port))
        kept = wait_for(monitor, "R07", FIRING)
        assert kept.since == first.since
        assert intervals(monitor, first) == 1


def test_a_prometheus_server_is_away_while_its_alert_fires() -> None:
    server = RecordedPrometheus()
    settings = Prometheus(url=server.url, interval=0.5, timeout=1.0)
    with watching(prometheus=settings) as monitor:
        try:
            first = wait_for(monitor, "PaySlow", FIRING)
            assert first.origin == "prometheus"
            server.instead = lambda asked: error(503, "unavailable", "it starts")
            lost = wait_for(monitor, "PaySlow", NODATA)
            assert lost.reason
            server.instead = lambda asked: None
            again = wait_for(monitor, "PaySlow", FIRING)
        finally:
            server.close()
        assert first.since == lost.since == again.since
        assert {first.fingerprint} == {lost.fingerprint, again.fingerprint}
        assert intervals(monitor, first) == 1
