"""Rare ticks, pauses of the monitor, rules that fail on their way, and crowds of subjects."""

from __future__ import annotations

import msgspec
from alert_drive import Drive, Values, made_rule, status

from perftui.analysis.alerting.rule import Reading
from perftui.snapshot import Absent, AlertState, Snapshot, State

PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RECOVERING, NODATA = AlertState.RECOVERING, AlertState.NODATA


def test_durations_are_the_same_however_rarely_it_is_evaluated() -> None:
    """A source may tell every second while the monitor looks every ten."""
    values = Values(Reading("s", 50.0))
    drive = Drive(made_rule(values, hold=20.0, keep=40.0))
    for _ in range(5):
        drive.tick(10.0)
    values.set(90.0)
    assert [drive.tick(10.0)[0].state for _ in range(3)] == [PENDING, PENDING, FIRING]
    values.set(10.0)
    course = [[alert.state for alert in drive.tick(10.0)] for _ in range(5)]
    assert course == [[RECOVERING]] * 4 + [[]]


def test_smoothing_over_a_minute_settles_however_rarely_it_is_evaluated() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values, smoothing=60.0, hold=0.0))
    for _ in range(8):
        drive.tick(10.0)
    assert drive.states == [FIRING]


def test_one_evaluation_out_of_turn_changes_no_duration() -> None:
    values = Values(Reading("s", 50.0))
    drive = Drive(made_rule(values, hold=20.0))
    for _ in range(5):
        drive.tick(10.0)
    values.set(90.0)
    assert [drive.tick(seconds)[0].state for seconds in (10.0, 0.5, 9.5, 10.0)] == [
        PENDING, PENDING, PENDING, FIRING,
    ]  # fmt: skip


def test_hours_in_which_the_monitor_was_stopped_end_no_alert() -> None:
    """Stopped by the terminal, it finds the first source back before the others."""
    values = Values(Reading("s", 90.0, 200), Reading("t", 90.0, 200))
    drive = Drive(made_rule(values, least=100, sources=frozenset({"host", "scrape"})))
    both = (status("host"), status("scrape"))
    drive.base = msgspec.structs.replace(drive.base, sources=both)
    since = [alert.since for alert in drive.run(20)]
    values.readings = (Reading("s", 90.0, 3),)
    away = (status("host"), status("scrape", reason="no page", state=State.UNAVAILABLE))
    drive.base = msgspec.structs.replace(drive.base, sources=away)
    found = drive.tick(7200.0)
    assert {alert.subject: alert.state for alert in found} == {"s": FIRING, "t": NODATA}
    values.readings = (Reading("s", 90.0, 200), Reading("t", 90.0, 200))
    drive.base = msgspec.structs.replace(drive.base, sources=both)
    drive.tick()
    assert drive.states == [FIRING, FIRING]
    assert [alert.since for alert in drive.alerts] == since
    assert all(isinstance(event.end, Absent) for event in drive.events)


def test_what_a_rule_told_before_it_failed_does_not_count() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    drive.run(15)
    values.error = ZeroDivisionError("by zero")
    drive.tick()
    before = next(alert for alert in drive.alerts if alert.rule == "R")
    drive.run(30)
    after = next(alert for alert in drive.alerts if alert.rule == "R")
    assert (after.state, after.changed, after.samples) == (NODATA, before.changed, before.samples)


def test_a_rule_with_very_many_alerts_leaves_evidence_to_the_others() -> None:
    looked: list[str] = []

    def evidence(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
        looked.append(reading.subject)
        return ("seen",)

    crowd, one = Values(), Values(Reading("one", 90.0))
    drive = Drive(
        made_rule(crowd, "CROWD", hold=0.0, evidence=evidence),
        made_rule(one, "ONE", hold=0.0, evidence=evidence),
    )
    for second in range(30):
        crowd.readings = [Reading(f"s{n}", 90.0 + 0.1 * second) for n in range(500)]
        drive.tick()
    assert "one" in looked[:20]
    # Those that have none come before those whose evidence is older than their peak.
    assert len(set(looked)) == 501


def test_subjects_that_come_and_go_for_ever_are_forgotten() -> None:
    values = Values()
    drive = Drive(made_rule(values, hold=0.0, keep=0.0))
    for number in range(300):
        values.readings = [Reading(f"{number}-{n}", 95.0) for n in range(5)]
        drive.tick(6.0)
    (watch,) = drive.engine._watches
    assert len(watch._cases) <= 5 * 2
    assert len(watch._flapping) <= 5 * (600 / 6 + 4)
    assert len(drive.events) == 200
