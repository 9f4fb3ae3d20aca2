"""Alerts that a Prometheus server found by its own rules, next to perftui's own."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from alert_drive import Values, made_rule

from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Reading
from perftui.snapshot import (
    Absent,
    Alert,
    Prometheus,
    ServerAlert,
    Severity,
    Snapshot,
    State,
)


def update(snapshot: Snapshot) -> tuple[Alert, ...]:
    return AlertEngine(()).update(snapshot)[0]


def server(*alerts: ServerAlert) -> Snapshot:
    return Snapshot(1, 5000.0, 0.0, prometheus=Prometheus("http://prom", "2", (), alerts, 1, 0))


def server_alert(severity: str = "warning", since: float = 1000.0, **labels: str) -> ServerAlert:
    labels = {"alertname": "ErrorsHigh", "severity": severity} | labels
    return ServerAlert(
        "ErrorsHigh", severity, tuple(labels.items()), "5 % fail", "http://book", since, 0.05
    )


def test_alerts_of_a_server_join_with_its_own_begin() -> None:
    engine = AlertEngine(())
    snapshot = server(server_alert("page", job="web", instance="w1:80", operation="buy"))
    ((alert,), _) = engine.update(snapshot)
    ((again,), _) = engine.update(msgspec.structs.replace(snapshot, time=6000.0))
    assert alert == again
    assert (alert.rule, alert.origin, alert.severity) == (
        "ErrorsHigh", "prometheus", Severity.CRITICAL,
    )  # fmt: skip
    assert (alert.subject, alert.message) == ("web buy w1:80", "ErrorsHigh: 5 % fail")
    assert (alert.value, alert.since, alert.hint) == (0.05, 1000.0, "http://book")
    assert isinstance(alert.threshold, Absent)
    assert alert.pane == "operations"


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.CRITICAL),
        ("Page", Severity.CRITICAL),
        ("error", Severity.CRITICAL),
        ("warning", Severity.WARNING),
        ("ticket", Severity.WARNING),
        ("", Severity.WARNING),
    ],
)
def test_the_label_tells_how_urgent_it_is(word: str, severity: Severity) -> None:
    (alert,) = update(server(server_alert(word)))
    assert alert.severity is severity


@pytest.mark.parametrize(
    ("labels", "subject", "pane"),
    [
        ({"instance": "db:9100"}, "db:9100", "resources"),
        ({"job": "web", "service": "web", "instance": "w1"}, "web w1", "resources"),
        ({"device": "sda", "team": "core"}, "device=sda team=core", "resources"),
        ({"handler": "/buy", "job": "shop"}, "shop /buy", "operations"),
        ({}, "http://prom", "resources"),
        ({"instance": "x" * 500}, "x" * 77 + "...", "resources"),
    ],
)
def test_the_subject_comes_from_the_labels(labels: dict[str, str], subject: str, pane: str) -> None:
    (alert,) = update(server(server_alert(**labels)))
    assert (alert.subject, alert.pane) == (subject, pane)


def test_an_alert_without_words_names_its_rule() -> None:
    bare = ServerAlert("Down", "", (), "", "", 1.0, Absent(State.UNAVAILABLE, "NaN"))
    (alert,) = update(server(bare))
    assert (alert.message, alert.hint) == ("Down", "see the rule in Prometheus")


def test_critical_and_older_come_first_wherever_they_are_from() -> None:
    own = made_rule(Values(Reading("cpu", 99.0)), hold=0.0)
    snapshot = server(
        server_alert("page", 9000.0),
        server_alert("warning", 1000.0, instance="a"),
        server_alert("warning", 500.0, instance="b"),
    )
    alerts, _ = AlertEngine((own,)).update(snapshot)
    assert [(a.origin, a.severity.value, a.since) for a in alerts] == [
        ("local", "critical", 5000.0),
        ("prometheus", "critical", 9000.0),
        ("prometheus", "warning", 500.0),
        ("prometheus", "warning", 1000.0),
    ]


def test_an_alert_that_gets_worse_is_still_the_same() -> None:
    (first,) = update(server(server_alert("warning", job="web")))
    (worse,) = update(server(server_alert("page", job="web")))
    (other,) = update(server(server_alert("page", job="db")))
    assert first.fingerprint == worse.fingerprint != other.fingerprint


def test_a_server_that_does_not_tell_its_alerts_adds_none() -> None:
    gone = Absent(State.DENIED, "not allowed")
    server = Prometheus("http://prom", "2", (), gone, gone, gone)
    assert update(Snapshot(1, 0.0, 0.0, prometheus=server)) == ()


def test_the_library_loads_neither_screen_nor_sources() -> None:
    program = (
        "import sys, perftui; perftui.PerformanceAnalyzer; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}), "
        "*[name for name in sys.modules if name.startswith('perftui.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "perftui.analysis.bottlenecks" in loaded
    unwanted = {"textual", "redis", "psutil", "prometheus_client", "plotext", "perftui.sources"}
    assert unwanted.isdisjoint(loaded)


def test_an_unknown_name_of_the_library_is_an_attribute_error() -> None:
    import perftui

    with pytest.raises(AttributeError, match="NoSuchThing"):
        perftui.NoSuchThing  # noqa: B018
