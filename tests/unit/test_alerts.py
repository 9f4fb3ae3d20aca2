"""The literal rules and the alerts made of them."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import full_snapshot

from perftui import PerformanceAnalyzer
from perftui.analysis.alerts import AlertBook
from perftui.analysis.bottlenecks import high_usage, slow_operations
from perftui.snapshot import (
    NOT_STARTED,
    Absent,
    Memory,
    Operation,
    OperationWindow,
    Prometheus,
    Resources,
    Scrape,
    ServerAlert,
    Service,
    Severity,
    Snapshot,
    State,
)

times = st.dictionaries(st.text(max_size=5), st.floats(1e-6, 1e3), max_size=12)


@given(times)
def test_slow_means_above_twice_the_mean_of_means(execution_times: dict[str, float]) -> None:
    found = {b["operation"]: b for b in slow_operations(execution_times)}
    if not execution_times:
        assert not found
        return
    threshold = 2 * sum(execution_times.values()) / len(execution_times)
    for name, seconds in execution_times.items():
        if abs(seconds - threshold) > 1e-9 * threshold:
            assert (name in found) == (seconds > threshold)
    assert all(b["threshold"] == pytest.approx(threshold) for b in found.values())


def test_two_operations_can_never_be_slow() -> None:
    assert slow_operations({"a": 0.001, "b": 1000.0}) == []


def test_thresholds_are_exceeded_strictly() -> None:
    assert high_usage({"memory": 90.0, "cpu": 80.0}) == []
    assert [b["type"] for b in high_usage({"memory": 90.1, "cpu": 80.1})] == [
        "high_memory",
        "high_cpu",
    ]


async def test_the_analyzer_reads_its_source() -> None:
    async def source() -> dict[str, dict[str, float]]:
        return {
            "execution_times": {"a": 0.1, "b": 0.1, "c": 1.6},
            "resource_usage": {"memory": 95.0, "cpu": 10.0},
        }

    slow, memory = await PerformanceAnalyzer(source).analyze_bottlenecks()
    assert slow["type"] == "slow_operation"
    assert slow["operation"] == "c"
    assert slow["time"] == 1.6
    assert slow["threshold"] == pytest.approx(1.2)
    assert memory == {"type": "high_memory", "usage": 95.0, "threshold": 90.0}


async def test_the_analyzer_takes_an_empty_observation() -> None:
    async def source() -> dict[str, dict[str, float]]:
        return {}

    assert await PerformanceAnalyzer(source).analyze_bottlenecks() == []


def test_alerts_remember_their_begin_and_forget_it_when_they_end() -> None:
    book = AlertBook()
    calm = full_snapshot(alerts=False)
    hot = msgspec.structs.replace(
        calm, resources=Resources(memory=Memory(95.0, 95, 100, 5)), services=NOT_STARTED
    )
    (first,) = book.update(hot)
    (again,) = book.update(msgspec.structs.replace(hot, time=hot.time + 30))
    assert first.severity is Severity.CRITICAL
    assert again.since == first.since == hot.time
    cool = msgspec.structs.replace(hot, resources=Resources(memory=Memory(20.0, 20, 100, 80)))
    assert book.update(cool) == ()
    (new,) = book.update(msgspec.structs.replace(hot, time=hot.time + 90))
    assert new.since == hot.time + 90


def test_a_limit_of_the_control_group_counts_before_the_host() -> None:
    snapshot = full_snapshot(alerts=False)
    assert not isinstance(snapshot.resources.cgroup, type(NOT_STARTED))
    group = msgspec.structs.replace(snapshot.resources.cgroup, memory_percent=97.0)
    resources = msgspec.structs.replace(snapshot.resources, cgroup=group)
    alerts = AlertBook().update(msgspec.structs.replace(snapshot, resources=resources))
    assert (alerts[0].rule, alerts[0].subject) == ("high_memory", "cgroup limit")
    assert {alert.rule for alert in alerts[1:]} == {"slow_operation"}


def test_nothing_measured_raises_no_alert() -> None:
    assert AlertBook().update(Snapshot(0, 0.0, 0.0)) == ()


def server(*alerts: ServerAlert) -> Snapshot:
    return Snapshot(1, 5000.0, 0.0, prometheus=Prometheus("http://prom", "2", (), alerts, 1, 0))


def server_alert(severity: str = "warning", since: float = 1000.0, **labels: str) -> ServerAlert:
    labels = {"alertname": "ErrorsHigh", "severity": severity} | labels
    return ServerAlert(
        "ErrorsHigh", severity, tuple(labels.items()), "5 % fail", "http://book", since, 0.05
    )


def test_alerts_of_a_server_join_with_its_own_begin() -> None:
    book = AlertBook()
    snapshot = server(server_alert("page", job="web", instance="w1:80", operation="buy"))
    (alert,) = book.update(snapshot)
    (again,) = book.update(msgspec.structs.replace(snapshot, time=6000.0))
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
    (alert,) = AlertBook().update(server(server_alert(word)))
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
    (alert,) = AlertBook().update(server(server_alert(**labels)))
    assert (alert.subject, alert.pane) == (subject, pane)


def test_an_alert_without_words_names_its_rule() -> None:
    bare = ServerAlert("Down", "", (), "", "", 1.0, Absent(State.UNAVAILABLE, "NaN"))
    (alert,) = AlertBook().update(server(bare))
    assert (alert.message, alert.hint) == ("Down", "see the rule in Prometheus")


def test_critical_and_older_come_first_wherever_they_are_from() -> None:
    snapshot = msgspec.structs.replace(
        server(server_alert("page", 9000.0), server_alert("warning", 1000.0, instance="a")),
        resources=Resources(memory=Memory(95.0, 95, 100, 5)),
    )
    found = [(a.origin, a.severity.value) for a in AlertBook().update(snapshot)]
    assert found == [("local", "critical"), ("prometheus", "critical"), ("prometheus", "warning")]


def test_a_server_that_does_not_tell_its_alerts_adds_none() -> None:
    gone = Absent(State.DENIED, "not allowed")
    server = Prometheus("http://prom", "2", (), gone, gone, gone)
    assert AlertBook().update(Snapshot(1, 0.0, 0.0, prometheus=server)) == ()


def uneven(origin: str) -> Service:
    idle = Absent(State.NOT_COLLECTED, "no buckets")
    operations = tuple(
        Operation(f"op{n}", 1.0, 9.0 if n == 0 else 0.1, idle, idle, idle, 0.0, 0.1, 10)
        for n in range(5)
    )
    window = OperationWindow(10.0, 10.0, operations)
    return Service("shop", 1, ("h",), 0.1, (window,), origin=origin)


def test_peers_are_compared_where_no_server_judges() -> None:
    known = Prometheus("http://prom", "2", (uneven("prometheus"),), (), 1, 0)
    assert AlertBook().update(Snapshot(1, 0.0, 0.0, prometheus=known)) == ()
    snapshot = Snapshot(1, 0.0, 0.0, services=(uneven("redis"),), prometheus=known)
    (alert,) = AlertBook().update(snapshot)
    assert (alert.rule, alert.subject, alert.origin) == ("slow_operation", "shop/op0", "local")


def test_a_service_that_reports_and_is_scraped_is_slow_once() -> None:
    page = Scrape((), (uneven("scrape"),))
    snapshot = Snapshot(1, 0.0, 0.0, services=(uneven("redis"),), scrape=page)
    assert len(AlertBook().update(snapshot)) == 1


def test_an_operation_that_was_not_called_is_no_peer() -> None:
    service = uneven("redis")
    idle = Absent(State.NOT_COLLECTED, "not called")
    quiet = tuple(
        msgspec.structs.replace(o, mean=idle, count=0) if n > 1 else o
        for n, o in enumerate(service.operations)
    )
    window = OperationWindow(10.0, 10.0, quiet)
    service = msgspec.structs.replace(service, windows=(window,))
    assert AlertBook().update(Snapshot(1, 0.0, 0.0, services=(service,))) == ()


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
