"""Inhibition, causes, acknowledgements, silences, and the alerts of a Prometheus server."""

from __future__ import annotations

import threading

import msgspec
import pytest
from alert_drive import WALL, Drive, Values, made_rule

from perftui.analysis.alerting.rule import Kind, Reading
from perftui.snapshot import (
    Absent,
    Alert,
    AlertState,
    Host,
    Prometheus,
    ServerAlert,
    Service,
    Severity,
    State,
)

HIGH = 90.0


def firing(rule_id: str, subject: str, group: str = "", **changes: object) -> tuple[Values, object]:
    values = Values(Reading(subject, HIGH, group=group))
    return values, made_rule(values, rule_id, hold=0.0, keep=0.0, **changes)


def drive_of(*pairs: tuple[Values, object]) -> Drive:
    return Drive(*(rule for _, rule in pairs))  # type: ignore[arg-type]


def by_rule(drive: Drive) -> dict[str, Alert]:
    return {alert.rule: alert for alert in drive.alerts}


@pytest.mark.parametrize(
    ("cause", "consequence", "inhibited"),
    [
        (("web", "web"), ("web/api-1", "web"), True),
        (("web", ""), ("web/api-1", "web"), True),
        (("web/api-1", ""), ("web/api-1", ""), True),
        (("web/api-2", "web"), ("web/api-1", "web"), False),
        (("other", "other"), ("web/api-1", "web"), False),
        (("host", ""), ("web/api-1", ""), False),
    ],
)
def test_a_consequence_is_inhibited_within_its_group(
    cause: tuple[str, str], consequence: tuple[str, str], inhibited: bool
) -> None:
    above = firing("UP", *cause)
    below = firing("DOWN", *consequence, inhibited_by=frozenset({"UP"}))
    drive = drive_of(below, above)
    drive.tick()
    alerts = by_rule(drive)
    assert (alerts["DOWN"].inhibited_by == alerts["UP"].fingerprint) is inhibited
    assert alerts["DOWN"].quiet is inhibited
    assert not alerts["UP"].inhibited_by
    above[0].set(10.0, subject=cause[0], group=cause[1])
    drive.tick()
    assert not by_rule(drive)["DOWN"].inhibited_by


def test_of_two_that_inhibit_each_other_one_stays_in_view() -> None:
    first = firing("A", "s", inhibited_by=frozenset({"B"}))
    second = firing("B", "s", inhibited_by=frozenset({"A", "B"}))
    drive = drive_of(first, second)
    drive.tick()
    assert sum(not alert.quiet for alert in drive.alerts) == 1


def test_a_source_that_is_down_inhibits_what_reads_from_it() -> None:
    down = firing("R31", "host", kind=Kind.SELF, sources=frozenset())
    busy = firing("R10", "cpu")
    drive = drive_of(down, busy)
    drive.tick()
    alerts = by_rule(drive)
    assert alerts["R10"].inhibited_by == alerts["R31"].fingerprint
    assert not alerts["R31"].quiet


def service(name: str, host: str) -> Service:
    return Service(name, 1, (host,), 0.1)


def test_symptoms_name_what_overlaps_and_may_explain_them() -> None:
    slow_here = firing("SLOW", "shop/buy", "shop", kind=Kind.SYMPTOM)
    slow_there = firing("FAR", "mail/send", "mail", kind=Kind.SYMPTOM)
    cpu = firing("CPU", "host", "host")
    pressure = firing("PSI", "host", "host", kind=Kind.SATURATION)
    failing = firing("ERR", "mail/send", "mail", kind=Kind.ERROR)
    disk = firing("DISK", "/", "host", kind=Kind.CAPACITY)
    drive = drive_of(slow_here, slow_there, cpu, pressure, failing, disk)
    drive.base = msgspec.structs.replace(
        drive.base,
        host=Host("web-1", "Linux", "6", 2, 1.0),
        services=(service("shop", "web-1"), service("mail", "mail-1")),
    )
    drive.tick()
    alerts = by_rule(drive)
    # Saturation is the likelier cause; a full disk is a worry of its own.
    assert alerts["SLOW"].causes == (alerts["PSI"].fingerprint, alerts["CPU"].fingerprint)
    assert alerts["FAR"].causes == (alerts["ERR"].fingerprint,)
    assert alerts["CPU"].causes == ()
    cpu[0].set(10.0, subject="host", group="host")
    drive.tick()
    assert by_rule(drive)["SLOW"].causes == (alerts["PSI"].fingerprint,)


def test_an_acknowledgement_lasts_until_the_alert_ends() -> None:
    values, rule = firing("R", "s")
    drive = drive_of((values, rule))
    (alert,) = drive.tick()
    assert not drive.engine.acknowledge("unknown", "ann")
    assert drive.engine.acknowledge(alert.fingerprint, "ann")
    (alert,) = drive.run(30)
    assert (alert.acknowledged_by, alert.quiet, alert.state) == ("ann", True, AlertState.FIRING)
    values.set(10.0)
    drive.run(3)
    values.set(HIGH)
    (alert,) = drive.tick()
    assert not alert.quiet
    drive.engine.acknowledge(alert.fingerprint, "ann")
    drive.tick()
    assert drive.engine.unacknowledge(alert.fingerprint)
    assert not drive.tick()[0].quiet


def test_silences_cover_by_pattern_or_identity_and_expire() -> None:
    values = Values(Reading("web/a", HIGH), Reading("web/[b]", HIGH), Reading("db/c", HIGH))
    drive = Drive(made_rule(values, hold=0.0))
    drive.tick()
    named = {alert.subject: alert for alert in drive.alerts}
    drive.engine.silence(60.0, "ann", "deploy", subject="web/*")
    drive.engine.silence(600.0, "bob", "known", fingerprint=named["web/[b]"].fingerprint)
    drive.tick()
    named = {alert.subject: alert for alert in drive.alerts}
    assert (named["web/a"].comment, named["web/[b]"].comment) == ("deploy", "known")
    assert named["web/a"].silenced_until == drive.wall - 1 + 60
    assert not named["db/c"].quiet
    assert drive.alerts[0].subject == "db/c"
    drive.run(60)
    named = {alert.subject: alert for alert in drive.alerts}
    assert not named["web/a"].quiet
    assert named["web/[b]"].quiet
    assert drive.engine.unsilence_alert(named["web/[b]"].fingerprint)
    assert not drive.engine.unsilence_alert(named["web/[b]"].fingerprint)
    assert not any(alert.quiet for alert in drive.tick())


@pytest.mark.parametrize("seconds", [0.0, -5.0, float("nan"), float("inf")])
def test_a_silence_has_a_length(seconds: float) -> None:
    with pytest.raises(ValueError, match="silence"):
        Drive().engine.silence(seconds, "ann", "")


def test_other_threads_may_act_while_it_evaluates() -> None:
    values = Values(*(Reading(f"s{n}", HIGH) for n in range(50)))
    drive = Drive(made_rule(values, hold=0.0))
    drive.tick()
    prints = [alert.fingerprint for alert in drive.alerts]

    def act() -> None:
        for name in prints:
            drive.engine.acknowledge(name, "ann")
            drive.engine.silence(1000.0, "ann", "", fingerprint=name)

    threads = [threading.Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    drive.run(20)
    for thread in threads:
        thread.join(10)
    drive.tick()
    assert all(a.acknowledged_by == "ann" and a.silenced_until for a in drive.alerts)


def server(drive: Drive, *alerts: ServerAlert) -> None:
    known = Prometheus("http://prom", "2", (), alerts, 1, 0)
    drive.base = msgspec.structs.replace(drive.base, prometheus=known)


def test_alerts_of_a_server_are_remembered_while_it_is_away() -> None:
    drive = Drive()
    labels = (("alertname", "Down"), ("job", "web"))
    server(drive, ServerAlert("Down", "page", labels, "gone", "", WALL + 5, 3.0))
    (alert,) = drive.tick()
    assert (alert.state, alert.severity) == (AlertState.FIRING, Severity.CRITICAL)
    drive.base = msgspec.structs.replace(
        drive.base, prometheus=Absent(State.UNAVAILABLE, "no answer")
    )
    (alert,) = drive.run(60)
    assert (alert.state, alert.reason, alert.since) == (AlertState.NODATA, "no answer", WALL + 5)
    server(drive, ServerAlert("Down", "warning", labels, "gone", "", WALL + 5, 4.0))
    (again,) = drive.tick()
    assert again.fingerprint == alert.fingerprint
    assert again.state is AlertState.FIRING
    server(drive)
    assert drive.tick() == ()
    (event,) = drive.events
    assert (event.begin, event.end, event.peak) == (WALL + 5, drive.wall, 4.0)
    assert event.severity is Severity.CRITICAL
