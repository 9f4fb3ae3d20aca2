"""States of alerts as shape, word and colour, in that order of importance, and their order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from perftui.snapshot import Alert, AlertEvent, AlertState, Severity, Snapshot
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Span

SEVERITY_WORDS = {Severity.CRITICAL: "CRIT", Severity.WARNING: "WARN", Severity.INFO: "INFO"}
_RANKS = {
    AlertState.FIRING: 0,
    AlertState.PENDING: 2,
    AlertState.RECOVERING: 3,
    AlertState.NODATA: 4,
}
_QUIET, _INFORMS = 10, 20


class StateMark(NamedTuple):
    """How the state of an alert is shown: one cell, a word, and the name of a style."""

    shape: str
    word: str
    style: str


def state_mark(alert: Alert, glyphs: Glyphs) -> StateMark:
    """Return the mark of an alert; who asked for quiet comes before what the rule says."""
    severity = SEVERITY_WORDS[alert.severity]
    if alert.silenced_until:
        return StateMark("z", f"silenced {severity}", "muted")
    if alert.inhibited_by:
        return StateMark(glyphs.separator, f"inhibited {severity}", "muted")
    if alert.acknowledged_by:
        return StateMark("a", f"acknowledged {severity}", "muted")
    if alert.state is AlertState.PENDING:
        return StateMark(glyphs.hollow, "pending", "accent")
    if alert.state is AlertState.RECOVERING:
        return StateMark(glyphs.half, f"recovering {severity}", "ok")
    if alert.state is AlertState.NODATA:
        return StateMark("?", f"no data {severity}", "stale")
    if alert.severity is Severity.CRITICAL:
        return StateMark(glyphs.bullet, severity, "critical")
    if alert.severity is Severity.WARNING:
        return StateMark(glyphs.warning, severity, "warning")
    return StateMark("i", severity, "accent")


def rank(alert: Alert) -> int:
    """Return the place of an alert's kind: what asks for a look most first, information last."""
    if alert.state is AlertState.FIRING:
        base = 0 if alert.severity is Severity.CRITICAL else 1
    else:
        base = _RANKS[alert.state]
    return base + (_INFORMS if alert.informs else _QUIET * alert.quiet)


def in_sight(alert: Alert) -> bool:
    """Return whether an alert is shown: what may become information some time is not."""
    return not (alert.informs and alert.state is AlertState.PENDING)


def alert_key(alert: Alert) -> Hashable:
    """Return what an alert is known by from one snapshot to the next."""
    return alert.fingerprint or (alert.origin, alert.rule, alert.subject)


def event_key(event: AlertEvent) -> Hashable:
    """Return what an interval of the past is known by."""
    return (event.fingerprint, event.rule, event.subject, event.begin)


def name_of(alert: Alert | AlertEvent, ascii_only: bool) -> str:
    """Return title and subject, safe for the terminal; the title may be empty."""
    return printable(f"{alert.title} {alert.subject}".strip(), ascii_only)


def worst_style(alerts: Iterable[Alert]) -> str:
    """Return the style of the most severe of some firing alerts."""
    critical = any(alert.severity is Severity.CRITICAL for alert in alerts)
    return "critical" if critical else "warning"


def pane_mark(snapshot: Snapshot, pane: str) -> Span | None:
    """Return the mark of a pane that firing alerts are explained by, None where there is none."""
    here = [alert for alert in snapshot.firing if alert.pane == pane]
    return ("!", worst_style(here)) if here else None
