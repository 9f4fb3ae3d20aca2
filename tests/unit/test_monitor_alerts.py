"""Alerts of a running monitor: they fire, are acknowledged and silenced, and wake up sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from test_monitor import SETTINGS, Counting, wait

from perftui.config import Settings
from perftui.config.paths import silences_file
from perftui.config.rule_settings import RuleSettings
from perftui.monitor import Monitor, collect
from perftui.snapshot import NOT_STARTED, Absent, Alert, AlertState, Memory, Snapshot, State
from perftui.source_demand import suspicious
from perftui.sources.host import HostReading, HostSource
from perftui.sources.source import Source, SourceError
from perftui.user_alerts import user_name

AT_ONCE = msgspec.structs.replace(
    SETTINGS,
    rules={
        "R31": RuleSettings(hold=0.0),
        "R09": RuleSettings(hold=0.0, smoothing=0.0),
    },
)


def broken(name: str) -> Counting:
    source = Counting(name)
    source.fail = SourceError(State.UNAVAILABLE, "Redis refused the connection", "start it")
    return source


def started(*sources: Source[Any]) -> Monitor:
    made: Callable[[Settings], list[Source[Any]]] = lambda _: list(sources)  # noqa: E731
    monitor = Monitor(AT_ONCE, sources=made)
    monitor.start()
    return monitor


def lost(snapshot: Snapshot) -> Alert | None:
    return next((alert for alert in snapshot.alerts if alert.rule == "R31"), None)


def test_an_alert_is_acknowledged_silenced_and_asks_again() -> None:
    monitor = started(broken("redis"))
    alert = lost(wait(monitor, lambda s: bool(s.firing)))
    assert alert is not None
    assert "refused" in alert.message
    assert monitor.acknowledge(alert.fingerprint)
    seen = lost(wait(monitor, lambda s: bool(s.alerts) and not s.firing))
    assert seen is not None
    assert seen.acknowledged_by == user_name()
    assert monitor.acknowledge(alert.fingerprint)
    wait(monitor, lambda s: bool(s.firing))
    assert not monitor.acknowledge("nobody knows it")
    monitor.silence(alert, 600.0, "deploy")
    seen = lost(wait(monitor, lambda s: bool(s.alerts) and not s.firing))
    assert seen is not None
    assert seen.comment == "deploy"
    assert silences_file().exists()
    monitor.stop()
    again = started(broken("redis"))
    wait(again, lambda s: bool(s.alerts) and not s.firing)
    assert again.unsilence(alert.fingerprint)
    wait(again, lambda s: bool(s.firing))
    assert again.silences_problem == ""
    again.stop()


@pytest.mark.parametrize("scope", ["rule", "subject"])
def test_a_silence_may_cover_all_of_a_rule_or_subject(scope: str) -> None:
    monitor = started(broken("redis"))
    alert = lost(wait(monitor, lambda s: bool(s.firing)))
    assert alert is not None
    silence = monitor.silence(alert, 600.0, "", scope)
    assert (silence.rule, silence.subject) == (("R31", "*") if scope == "rule" else ("*", "redis"))
    wait(monitor, lambda s: bool(s.alerts) and not s.firing)
    monitor.stop()


def test_before_the_first_snapshot_there_is_nothing_to_act_on() -> None:
    monitor = Monitor(AT_ONCE, sources=lambda _: [])
    assert not monitor.acknowledge("a")
    assert not monitor.unsilence("a")


class FullHost(Counting):
    """A machine whose memory is nearly used up; the rest of it is not measured."""

    def __init__(self) -> None:
        super().__init__("host")
        self._real = HostSource(0.25)

    def sample(self) -> HostReading:
        return msgspec.structs.replace(
            self._real.sample(),
            memory=Memory(99.0, 99, 100, 1),
            cpu=NOT_STARTED,
            pressure=NOT_STARTED,
            swap=NOT_STARTED,
        )


def test_an_alert_about_the_machine_has_its_processes_read() -> None:
    processes = Counting("processes")
    monitor = started(FullHost(), processes)
    monitor.demand(frozenset())
    snapshot = wait(monitor, lambda s: suspicious(s) and not isinstance(s.processes, Absent))
    alert = next(alert for alert in snapshot.alerts if alert.rule == "R09")
    assert alert.state is AlertState.FIRING
    monitor.silence(alert, 600.0, "")
    wait(monitor, lambda s: isinstance(s.processes, Absent))
    monitor.stop()


def test_one_snapshot_is_judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perftui.monitor.build_sources", lambda _: [FullHost()])
    snapshot = collect(Settings(), 0.3)
    alert = next(alert for alert in snapshot.alerts if alert.rule == "R09")
    assert alert.state is AlertState.FIRING
    assert [event.rule for event in snapshot.alert_events] == [a.rule for a in snapshot.firing]
