"""Bell and notification: what rings, how often, and what the terminal gets."""

from __future__ import annotations

import msgspec
import pytest
from sample import HOSTILE, NOW, full_snapshot
from sample_alerts import CRITICAL, WARNING, alert

from perftui.snapshot import Alert, AlertState, Severity, Snapshot
from perftui.tui.alarm import BELL, LONGEST, Alarm, message, notification

XTERM = {"TERM": "xterm-256color"}
replace = msgspec.structs.replace


def at(seconds: float, *alerts: Alert) -> Snapshot:
    return replace(full_snapshot(), alerts=alerts, monotonic=seconds)


def test_nothing_is_sent_unless_it_was_asked_for() -> None:
    assert Alarm(False, False, XTERM).update(at(0, alert("a", "s"))) == ""


def test_an_alert_rings_once_for_as_long_as_it_lasts() -> None:
    alarm = Alarm(True, False, XTERM)
    fires = alert("a", "s")
    assert alarm.update(at(0)) == ""
    assert alarm.update(at(1, fires)) == BELL
    for second, state in (
        (20, AlertState.FIRING),
        (40, AlertState.RECOVERING),
        (60, AlertState.FIRING),
        (80, AlertState.NODATA),
        (100, AlertState.FIRING),
    ):
        assert alarm.update(at(second, replace(fires, state=state))) == ""
    assert alarm.update(at(120)) == ""
    assert alarm.update(at(140, fires)) == BELL


def test_an_alert_that_becomes_critical_rings_again() -> None:
    alarm = Alarm(True, False, XTERM)
    assert alarm.update(at(0, alert("a", "s", WARNING)))
    assert alarm.update(at(20, alert("a", "s", CRITICAL)))
    assert not alarm.update(at(40, alert("a", "s", WARNING)))


def test_what_fired_before_the_start_is_no_news_until_it_becomes_critical() -> None:
    alarm = Alarm(True, False, XTERM, began=NOW)
    old, new = alert("a", "s", since=NOW - 60), alert("b", "s", since=NOW + 1)
    assert alarm.update(at(0, old)) == ""
    assert alarm.update(at(20, old, new)) == BELL
    assert alarm.update(at(40, replace(old, severity=CRITICAL), new)) == BELL
    assert alarm.update(at(60, replace(old, severity=CRITICAL), new)) == ""


def test_one_that_flaps_does_not_ring_each_time() -> None:
    alarm = Alarm(True, False, XTERM)
    flaps = alert("a", "s", flapping=True)
    rings = []
    for second in range(0, 4000, 40):
        rings += [second] if alarm.update(at(second, flaps)) else []
        alarm.update(at(second + 20))
    assert rings == [0, 3600]
    assert alarm.update(at(4000, replace(flaps, severity=CRITICAL))) == BELL
    assert alarm.update(at(4020, alert("b", "s", flapping=True))) == BELL


def test_information_does_not_ring() -> None:
    alarm = Alarm(True, True, XTERM)
    fact = alert("a", "s", Severity.INFO)
    assert alarm.update(at(0, fact)) == ""
    assert alarm.update(at(20, replace(fact, severity=WARNING)))


def test_a_terminal_without_utf8_gets_ascii_alone() -> None:
    sent = Alarm(True, True, XTERM, ascii_only=True).update(at(0, alert("a", HOSTILE)))
    assert sent.isascii()
    assert "\\u540d" in sent


@pytest.mark.parametrize(
    "quiet", [{"silenced_until": NOW + 9}, {"inhibited_by": "b"}, {"acknowledged_by": "ann"}]
)
def test_what_is_quiet_does_not_ring_until_that_ends(quiet: dict[str, object]) -> None:
    alarm = Alarm(True, False, XTERM)
    assert not alarm.update(at(0, alert("a", "s", **quiet)))
    assert alarm.update(at(20, alert("a", "s")))


def test_pending_does_not_ring() -> None:
    assert not Alarm(True, False, XTERM).update(at(0, alert("a", "s", state=AlertState.PENDING)))


def test_many_at_once_ring_once_the_critical_one_first_and_none_is_forgotten() -> None:
    alarm = Alarm(True, True, XTERM)
    first = alarm.update(at(0, alert("a", "one"), alert("b", "two", CRITICAL)))
    assert "CRIT b two" in first
    assert "(+1 more)" in first
    assert first.endswith(BELL)
    both = (alert("a", "one"), alert("b", "two", CRITICAL), alert("c", "three"))
    assert alarm.update(at(5, *both)) == ""
    late = alarm.update(at(10, *both))
    assert "WARN c three" in late
    assert "more" not in late
    assert alarm.update(at(30, *both)) == ""


def test_hostile_text_cannot_leave_the_sequence() -> None:
    nasty = f"{HOSTILE}\x07\x1b\\;\x9c" * 9
    for environment in (XTERM, {"TERM": "foot"}, {"TERM": "tmux-256color", "TMUX": "x"}):
        text = message([alert("a", nasty, message=nasty, title=nasty)])
        sequence = notification(text, environment)
        inner = sequence
        if "TMUX" in environment:
            assert inner.startswith("\x1bPtmux;")
            assert inner.endswith("\x1b\\")
            inner = inner[len("\x1bPtmux;") : -2]
            assert "\x1b" not in inner.replace("\x1b\x1b", "")
            inner = inner.replace("\x1b\x1b", "\x1b")
        body = inner[2:-2]
        assert inner == f"\x1b]{body}\x1b\\"
        assert body.isprintable()
        assert body.count(";") == (3 if "foot" in environment["TERM"] else 1)
        assert len(text) <= LONGEST


@pytest.mark.parametrize(
    ("environment", "begin"),
    [
        (XTERM, "\x1b]9;perftui: "),
        ({"TERM": "foot"}, "\x1b]777;notify;perftui;"),
        ({"TERM": "rxvt-unicode-256color"}, "\x1b]777;notify;perftui;"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7200"}, "\x1b]777;notify;perftui;"),
        ({"TERM": "tmux-256color"}, "\x1bPtmux;\x1b\x1b]9;perftui: "),
        ({"TERM": "screen", "TMUX": "/tmp/t,1,0"}, "\x1bPtmux;\x1b\x1b]9;perftui: "),
    ],
)
def test_each_terminal_gets_the_sequence_it_knows(environment: dict[str, str], begin: str) -> None:
    assert notification("text", environment).startswith(begin)


@pytest.mark.parametrize("term", ["linux", "dumb", "vt220", ""])
def test_a_terminal_that_would_print_the_sequence_gets_none(term: str) -> None:
    assert notification("text", {"TERM": term}) == ""
