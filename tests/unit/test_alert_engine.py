"""One alert from ok to pending, firing, recovering and back, and what interrupts it."""

from __future__ import annotations

import math

import msgspec
import pytest
from alert_drive import WALL, Drive, Values, made_rule, status

from perftui.analysis.alerting.rule import Levels, Reading
from perftui.snapshot import (
    Absent,
    AlertState,
    Memory,
    Resources,
    Severity,
    Snapshot,
    State,
)

PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RECOVERING, NODATA = AlertState.RECOVERING, AlertState.NODATA


def test_it_fires_after_hold_and_ends_after_keep() -> None:
    values = Values(Reading("s", 50.0))
    drive = Drive(made_rule(values))
    assert drive.run(5) == ()
    values.set(90.0)
    (alert,) = drive.tick()
    began = drive.wall
    assert (alert.state, alert.severity, alert.since) == (PENDING, Severity.WARNING, began)
    assert drive.events == ()
    assert drive.run(9)[0].state is PENDING
    (alert,) = drive.tick()
    assert (alert.state, alert.since, alert.changed) == (FIRING, began, drive.wall)
    assert (alert.value, alert.threshold, alert.clear) == (90.0, 80.0, 75.0)
    assert alert.message == "at 90.0, above 80"
    (event,) = drive.events
    assert event.begin == began
    assert isinstance(event.end, Absent)
    values.set(70.0)
    (alert,) = drive.tick()
    left = drive.wall
    assert (alert.state, alert.since) == (RECOVERING, began)
    assert drive.run(19)[0].state is RECOVERING
    assert drive.tick() == ()
    (event,) = drive.events
    assert (event.begin, event.end) == (began, left)
    assert (event.peak, event.mean, event.samples) == (90.0, pytest.approx(90.0), 11)


def test_between_level_and_clear_level_nothing_changes() -> None:
    values = Values(Reading("s", 78.0))
    drive = Drive(made_rule(values))
    assert drive.run(30) == ()
    values.set(90.0)
    drive.run(11)
    values.set(76.0)
    assert drive.run(100)[0].state is FIRING
    values.set(75.0)
    assert drive.tick()[0].state is RECOVERING


def test_pending_ends_without_a_trace_at_the_clear_level() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    drive.run(9)
    values.set(74.0)
    assert drive.tick() == ()
    assert drive.events == ()
    values.set(90.0)
    assert drive.run(10)[0].state is PENDING


def test_back_above_while_recovering_is_the_same_interval() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    since = drive.run(11)[0].since
    values.set(70.0)
    drive.run(15)
    values.set(88.0)
    (alert,) = drive.tick()
    assert (alert.state, alert.since) == (FIRING, since)
    assert len(drive.events) == 1


def test_critical_has_a_hold_of_its_own_and_the_event_keeps_it() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    since = drive.run(20)[0].since
    values.set(99.0)
    assert drive.run(10)[0].severity is Severity.WARNING
    (alert,) = drive.tick()
    assert (alert.severity, alert.threshold, alert.clear) == (Severity.CRITICAL, 95.0, 85.0)
    assert alert.since == since
    values.set(82.0)
    assert drive.run(20)[0].severity is Severity.CRITICAL
    (alert,) = drive.tick()
    assert (alert.severity, alert.state) == (Severity.WARNING, FIRING)
    (event,) = drive.events
    assert (event.severity, event.peak, event.message) == (
        Severity.CRITICAL, 99.0, "at 99.0, above 80",
    )  # fmt: skip


def test_levels_below_which_it_is_bad() -> None:
    values = Values(Reading("s", 40.0))
    rule = made_rule(values, levels=Levels(50.0, 60.0, 20.0, 30.0, above=False), hold=0.0)
    drive = Drive(rule)
    (alert,) = drive.tick()
    assert (alert.state, alert.threshold, alert.clear) == (FIRING, 50.0, 60.0)
    values.set(10.0)
    (alert,) = drive.tick()
    assert (alert.severity, alert.peak) == (Severity.CRITICAL, 10.0)
    values.set(60.0)
    assert drive.tick()[0].state is RECOVERING


def test_a_lost_source_keeps_the_alert_and_its_return_does_not_fire_anew() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    fired = drive.run(15)[0]
    drive.lose("the host went away")
    values.readings = ()
    (alert,) = drive.run(600)
    assert (alert.state, alert.reason) == (NODATA, "the host went away")
    assert (alert.since, alert.value, alert.message) == (fired.since, 90.0, fired.message)
    assert isinstance(drive.events[0].end, Absent)
    drive.restore()
    values.set(91.0)
    (alert,) = drive.tick()
    assert (alert.state, alert.since, alert.reason) == (FIRING, fired.since, "")
    assert len(drive.events) == 1
    drive.lose()
    values.readings = ()
    drive.run(10)
    drive.restore()
    values.set(10.0)
    assert drive.tick()[0].state is RECOVERING
    assert drive.run(20) == ()
    assert len(drive.events) == 1


def test_the_last_value_of_a_stale_source_is_no_news() -> None:
    values = Values()
    drive = Drive(made_rule(values, measure=lambda s: _memory(s)))

    def with_memory(percent: float) -> Snapshot:
        memory = Memory(percent, 1, 1, 1)
        return Snapshot(1, 0.0, 0.0, resources=Resources(memory=memory), sources=(status(),))

    drive.base = with_memory(90.0)
    drive.run(5)
    drive.lose("host: no answer for 9 s", State.STALE)
    assert drive.run(30) == ()
    drive.restore()
    drive.run(11)
    assert drive.states == [FIRING]
    drive.lose("host: no answer for 9 s", State.STALE)
    assert drive.tick()[0].state is NODATA


def _memory(snapshot: Snapshot) -> list[Reading]:
    memory = snapshot.resources.memory
    return [] if isinstance(memory, Absent) else [Reading("s", memory.percent)]


def test_a_subject_that_has_gone_ends_its_alert() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    drive.run(15)
    last = drive.wall
    values.readings = ()
    assert drive.run(2)[0].state is FIRING
    assert drive.run(2) == ()
    assert drive.events[0].end == last


def test_one_of_two_sources_that_stays_away_keeps_an_alert_for_an_hour_only() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values, sources=frozenset({"host", "scrape"})))
    both = (status("host"), status("scrape"))
    drive.base = msgspec.structs.replace(drive.base, sources=both)
    drive.run(15)
    last = drive.wall
    away = (status("host"), status("scrape", State.UNAVAILABLE, "no page"))
    drive.base = msgspec.structs.replace(drive.base, sources=away)
    assert drive.tick()[0].state is FIRING
    values.readings = ()
    assert drive.run(3590)[0].state is NODATA
    assert drive.run(20) == ()
    assert drive.events[0].end == last + 1


def test_few_calls_say_nothing() -> None:
    values = Values(Reading("s", 90.0, 5))
    drive = Drive(made_rule(values, least=100))
    assert drive.run(30) == ()
    values.set(90.0, 100)
    drive.run(6)
    values.set(90.0, 5)
    assert drive.run(8)[0].state is PENDING
    values.set(90.0, 100)
    # Of the pending time only that with enough calls counted.
    assert drive.run(4)[0].state is PENDING
    assert drive.run(2)[0].state is FIRING
    values.set(10.0, 5)
    assert drive.run(20)[0].state is FIRING
    (alert,) = drive.run(10)
    assert (alert.state, alert.value) == (NODATA, 90.0)
    assert "fewer than 100 calls" in alert.reason
    values.set(90.0, 200)
    assert drive.tick()[0].state is FIRING
    assert len(drive.events) == 1


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_reading(odd: float) -> None:
    values = Values(Reading("s", odd))
    drive = Drive(made_rule(values, hold=0.0, smoothing=10.0))
    assert drive.run(20) == ()
    values.set(90.0)
    drive.run(20)
    values.set(odd)
    assert drive.tick()[0].state is FIRING
    assert drive.alerts[0].value == 90.0


def test_smoothing_comes_before_the_levels() -> None:
    values = Values(Reading("s", 50.0))
    drive = Drive(made_rule(values, smoothing=60.0, hold=0.0))
    drive.run(120)
    values.set(100.0)
    assert drive.run(20) == ()
    # 38 of 60 seconds at 100 and the others at 50 make 81.
    (alert,) = drive.run(20)
    assert alert.state is FIRING
    assert 80.0 < alert.value < 90.0  # type: ignore[operator]
    assert alert.window == 60.0


def test_a_single_reading_is_not_the_mean_of_a_minute() -> None:
    values = Values(Reading("s", 100.0))
    drive = Drive(made_rule(values, smoothing=60.0, hold=0.0))
    assert drive.run(3)[0].state is PENDING
    values.set(10.0)
    assert drive.run(20) == ()


def test_what_the_source_has_averaged_is_not_averaged_again() -> None:
    values = Values()
    drive = Drive(made_rule(values, smoothing=60.0, hold=0.0))
    values.readings = (Reading("s", 50.0, window=60.0),)
    drive.run(60)
    values.readings = (Reading("s", 90.0, window=60.0),)
    assert drive.tick()[0].value == 90.0


def test_a_pause_of_the_monitor_does_not_count_as_time() -> None:
    values = Values(Reading("s", 90.0))
    drive = Drive(made_rule(values))
    drive.run(3)
    assert drive.tick(3600.0)[0].state is PENDING
    assert drive.run(8)[0].state is FIRING


def test_alerts_without_durations_are_judged_at_once() -> None:
    values = Values(Reading("s", 99.0))
    drive = Drive(made_rule(values, smoothing=60.0), immediate=True)
    (alert,) = drive.tick()
    assert (alert.state, alert.severity) == (FIRING, Severity.CRITICAL)
    values.set(10.0)
    assert drive.tick() == ()


def test_evidence_is_that_of_the_peak() -> None:
    values = Values(Reading("s", 90.0))
    seen: list[float] = []

    def evidence(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
        seen.append(reading.value)
        return (f"at {reading.value:g}",)

    drive = Drive(made_rule(values, evidence=evidence))
    drive.run(10)
    assert seen == []
    assert drive.run(5)[0].evidence == ("at 90",)
    values.set(94.0)
    drive.run(10)
    values.set(85.0)
    (alert,) = drive.run(10)
    assert alert.evidence == drive.events[0].evidence == ("at 94",)
    assert seen == [90.0, 94.0]
    assert alert.peak == 94.0


def test_flapping_makes_it_patient() -> None:
    values = Values()
    drive = Drive(made_rule(values, hold=0.0, keep=5.0))
    for _ in range(6):
        values.set(90.0)
        drive.run(10)
        values.set(10.0)
        drive.run(10)
    values.set(90.0)
    (alert,) = drive.tick()
    assert alert.flapping
    values.set(10.0)
    drive.run(60)
    assert drive.states == [RECOVERING]
    drive.run(3600)
    assert drive.alerts == ()
    values.set(90.0)
    assert not drive.tick()[0].flapping


def test_a_rule_that_fails_tells_so_and_leaves_the_others_alone() -> None:
    good, bad = Values(Reading("s", 90.0)), Values(Reading("s", 90.0))
    drive = Drive(made_rule(bad, "B"), made_rule(good, "G"))
    drive.run(15)
    bad.error = ZeroDivisionError("by zero")
    drive.tick()
    found = {(alert.rule, alert.subject): alert for alert in drive.alerts}
    assert found["G", "s"].state is FIRING
    assert found["B", "s"].state is NODATA
    own = found["rule_failed", "B"]
    assert own.state is FIRING
    assert "ZeroDivisionError: by zero" in own.message
    assert own.kind == "self"
    drive.run(30)
    assert sum(event.rule == "rule_failed" for event in drive.events) == 1
    bad.error = None
    drive.run(70)
    assert {alert.rule for alert in drive.alerts} == {"B", "G"}
    assert [event.rule for event in drive.events].count("B") == 1


def test_a_text_that_fails_costs_the_text_alone() -> None:
    values = Values(Reading("s", 90.0))

    def message(reading: Reading, level: float) -> str:
        raise KeyError("facts")

    drive = Drive(made_rule(values, message=message))
    drive.run(12)
    found = {alert.rule: alert for alert in drive.alerts}
    assert found["R"].state is FIRING
    assert found["R"].message == "Title of R"
    assert "KeyError" in found["rule_failed"].message


def test_identity_is_the_same_after_a_restart() -> None:
    names = set()
    for _ in range(2):
        drive = Drive(made_rule(Values(Reading("GET /a\udc80", 90.0))))
        names.add(drive.tick()[0].fingerprint)
    assert len(names) == 1
    other = Drive(made_rule(Values(Reading("GET /b", 90.0)))).tick()[0]
    assert other.fingerprint not in names


def test_a_subject_told_twice_counts_once() -> None:
    values = Values(Reading("s", 10.0), Reading("s", 90.0))
    drive = Drive(made_rule(values, hold=0.0))
    assert drive.run(5) == ()


def test_a_rule_that_is_off_says_nothing() -> None:
    drive = Drive(made_rule(Values(Reading("s", 99.0)), enabled=False, hold=0.0))
    assert drive.run(5) == ()


def test_only_the_newest_intervals_are_kept() -> None:
    values = Values()
    drive = Drive(made_rule(values, hold=0.0, keep=0.0))
    for number in range(260):
        values.set(90.0, subject=f"s{number}")
        drive.run(5)
    assert len(drive.events) == 200
    assert drive.events[0].subject == "s259"
    begins = [event.begin for event in drive.events]
    assert begins == sorted(begins, reverse=True)


def test_nothing_measured_raises_no_alert() -> None:
    drive = Drive(made_rule(Values()))
    assert drive.run(3) == ()
    assert drive.events == ()
    assert drive.wall > WALL
