"""Which changes of alerts are followed, which somebody is told of, and how often."""

from __future__ import annotations

from itertools import pairwise

from alerts_sample import BEGIN, alert, changed, snapshot
from hypothesis import given
from hypothesis import strategies as st

from perftui.output.alert_changes import AlertChanges, AlertNews, Change
from perftui.output.alert_pace import BURST, MOST_HELD, AlertPace
from perftui.snapshot import Alert, AlertState, Severity

FIRING, PENDING = AlertState.FIRING, AlertState.PENDING


def told(changes: list[Change]) -> list[tuple[str, str, str]]:
    return [(change.alert.subject, change.previous, change.state) for change in changes]


def test_every_change_of_state_is_followed_once() -> None:
    changes = AlertChanges()
    course = [
        ((alert(state=PENDING),), [("host", "ok", "pending")]),
        ((alert(state=PENDING, value=95.0),), []),
        ((alert(),), [("host", "pending", "firing")]),
        ((alert(state=AlertState.NODATA),), [("host", "firing", "nodata")]),
        ((alert(state=AlertState.RECOVERING),), [("host", "nodata", "recovering")]),
        ((), [("host", "recovering", "ended")]),
        ((), []),
    ]  # fmt: skip
    for second, (alerts, expected) in enumerate(course):
        found = changes.update(snapshot(*alerts, time=second))
        assert told(found) == expected, second
        assert [change.time for change in found] == [BEGIN + second] * len(expected)


def test_severity_and_quiet_are_changes_too() -> None:
    changes = AlertChanges()
    course = [
        alert(),
        alert(severity=Severity.CRITICAL),
        alert(severity=Severity.CRITICAL, acknowledged_by="ann"),
        alert(severity=Severity.CRITICAL, silenced_until=BEGIN + 9),
        alert(severity=Severity.CRITICAL, inhibited_by="f-x"),
    ]
    assert [len(changes.update(snapshot(one))) for one in course] == [1, 1, 1, 1, 1]
    assert changes.update(snapshot(course[-1])) == []


def test_alerts_without_fingerprint_are_told_apart_by_what_they_are_about() -> None:
    changes = AlertChanges()
    a, b = alert("a", fingerprint=""), alert("b", fingerprint="")
    assert told(changes.update(snapshot(a, b))) == [("a", "ok", "firing"), ("b", "ok", "firing")]
    assert told(changes.update(snapshot(b))) == [("a", "firing", "ended")]


def test_somebody_is_told_of_what_fires_and_of_its_end() -> None:
    news = AlertNews()
    course = [
        (alert(state=PENDING), []),
        (alert(), [("host", "ok", "firing")]),
        (alert(severity=Severity.CRITICAL), [("host", "firing", "firing")]),
        (alert(severity=Severity.WARNING), [("host", "firing", "firing")]),
        (alert(peak=99.0), []),
    ]  # fmt: skip
    for one, expected in course:
        assert told(news.update(snapshot(one))) == expected
    (end,) = news.update(snapshot(time=70))
    assert (end.state, end.alert.peak, end.time) == ("ended", 99.0, BEGIN + 70)
    assert news.update(snapshot()) == []


def test_what_never_fired_has_no_end_to_tell() -> None:
    news = AlertNews()
    assert news.update(snapshot(alert(state=PENDING))) == []
    assert news.update(snapshot()) == []


def test_an_alert_that_lost_its_source_is_not_told_anew_on_its_return() -> None:
    news = AlertNews()
    course = [alert(), alert(state=AlertState.NODATA, severity=Severity.CRITICAL), alert(),
              alert(state=AlertState.RECOVERING), alert()]  # fmt: skip
    assert [len(news.update(snapshot(one))) for one in course] == [1, 0, 0, 0, 0]
    assert told(news.update(snapshot())) == [("host", "firing", "ended")]


def test_a_quiet_alert_is_told_when_it_is_quiet_no_more() -> None:
    news = AlertNews()
    assert news.update(snapshot(alert(silenced_until=BEGIN + 60))) == []
    assert told(news.update(snapshot(alert()))) == [("host", "ok", "firing")]
    assert news.update(snapshot(alert(acknowledged_by="ann"))) == []
    assert told(news.update(snapshot())) == [("host", "firing", "ended")]
    assert news.update(snapshot(alert("b", inhibited_by="f-a"))) == []
    assert news.update(snapshot()) == []


def one(subject: str, state: str = "firing", previous: str = "ok") -> Change:
    return Change(BEGIN, state, previous, alert(subject))


def test_one_alert_is_told_once_in_an_interval_and_its_newest_state_at_the_end() -> None:
    pace = AlertPace(30.0)
    assert pace.admit(one("a"), 100.0)
    for second in range(1, 9):
        state, previous = ("firing", "ok") if second % 2 else ("ended", "firing")
        assert not pace.admit(one("a", state, previous), 100.0 + second)
    assert pace.due(130.5) is None
    summary = pace.due(131.0)
    assert summary is not None
    ((held, times),) = summary.held
    assert (held.state, held.previous, times) == ("ended", "ok", 8)
    assert pace.due(200.0) is None
    assert not pace.admit(one("a"), 150.0)


def test_many_alerts_at_once_come_one_by_one_then_together() -> None:
    pace = AlertPace(30.0)
    admitted = [pace.admit(one(f"s{n}"), 10.0) for n in range(2 * BURST)]
    assert admitted == [True] * BURST + [False] * BURST
    summary = pace.due(40.0)
    assert summary is not None
    subjects = [held.change.alert.subject for held in summary.held]
    assert subjects == [f"s{n}" for n in range(BURST, 2 * BURST)]
    assert pace.admit(one("later"), 40.0)


def test_nothing_overtakes_what_is_held_back() -> None:
    pace = AlertPace(30.0)
    assert pace.admit(one("a"), 0.0)
    assert not pace.admit(one("a", "ended"), 1.0)
    assert not pace.admit(one("b"), 2.0)
    summary = pace.due(3.0, at_once=True)
    assert summary is not None
    assert len(summary.held) == 2


def test_what_is_held_back_is_bounded_and_the_rest_counted() -> None:
    pace = AlertPace(30.0)
    for n in range(BURST + MOST_HELD + 7):
        pace.admit(one(str(n)), 0.0)
    summary = pace.due(30.0)
    assert summary is not None
    assert (len(summary.held), summary.left_out) == (MOST_HELD, 7)


def test_an_interval_of_zero_holds_nothing_back() -> None:
    pace = AlertPace(0.0)
    assert all(pace.admit(one("a"), 5.0) for _ in range(50))
    assert pace.due(5.0, at_once=True) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdefghij"),
        st.sampled_from([(FIRING, False), (FIRING, True), (PENDING, False), None]),
        st.floats(0.0, 20.0),
    ),
    max_size=60,
)


@given(STEPS)
def test_whoever_is_told_knows_in_the_end_what_fires_and_never_hears_too_much(
    steps: list[tuple[str, tuple[AlertState, bool] | None, float]],
) -> None:
    interval = 30.0
    news, pace = AlertNews(), AlertPace(interval)
    alerts: dict[str, Alert] = {}
    heard: dict[str, str] = {}
    when: dict[str, list[float]] = {}
    deliveries: list[float] = []
    loud: set[str] = set()
    now = 0.0
    for subject, step, pause in steps:
        now += pause
        if step is None:
            alerts.pop(subject, None)
            loud.discard(subject)
        else:
            state, critical = step
            severity = Severity.CRITICAL if critical else Severity.WARNING
            alerts[subject] = changed(alert(subject), state=state, severity=severity)
            if state is FIRING:
                loud.add(subject)
        for change in news.update(snapshot(*alerts.values(), time=now)):
            if pace.admit(change, now):
                deliveries.append(now)
                when.setdefault(change.alert.subject, []).append(now)
                heard[change.alert.subject] = change.state
        summary = pace.due(now)
        if summary is not None:
            deliveries.append(now)
            for held in summary.held:
                when.setdefault(held.change.alert.subject, []).append(now)
                heard[held.change.alert.subject] = held.change.state
    last = pace.due(now, at_once=True)
    for held in last.held if last else ():
        heard[held.change.alert.subject] = held.change.state
    assert {subject for subject, state in heard.items() if state != "ended"} == loud
    for times in when.values():
        assert all(later - earlier >= interval for earlier, later in pairwise(times))
    for begin in deliveries:
        assert sum(begin <= other < begin + interval for other in deliveries) <= BURST + 1
