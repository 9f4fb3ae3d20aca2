"""What is new about the alerts from one snapshot to the next."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from perftui.snapshot import Alert, AlertState, Severity, Snapshot

Key: TypeAlias = tuple[str, ...]

ENDED = "ended"
"""The word for an alert that is no longer there."""

OK = "ok"
"""The word for what was before an alert."""

_WORDS = {Severity.CRITICAL: "CRIT", Severity.WARNING: "WARN", Severity.INFO: "INFO"}


class Change(NamedTuple):
    """One alert that became what `state` says; `time` is the Unix time at which that was seen.

    `state` and `previous` are the word of an AlertState, ENDED or OK. `alert` is its newest form,
    the last one there was when it has ended.
    """

    time: float
    state: str
    previous: str
    alert: Alert


class AlertChanges:
    """Finds every change: of state, of severity, and of who has said that nobody need look.

    Information comes and goes without a word.
    """

    def __init__(self) -> None:
        self._known: dict[Key, Alert] = {}

    def update(self, snapshot: Snapshot) -> list[Change]:
        """Return what has changed since the snapshot before, alerts that ended first."""
        newest = _newest(snapshot)
        changes = [
            Change(snapshot.time, ENDED, alert.state.value, alert)
            for key, alert in self._known.items()
            if key not in newest
        ]
        for key, alert in newest.items():
            before = self._known.get(key)
            if before is None:
                changes.append(Change(snapshot.time, alert.state.value, OK, alert))
            elif _standing(before) != _standing(alert):
                changes.append(Change(snapshot.time, alert.state.value, before.state.value, alert))
        self._known = newest
        return changes


class AlertNews:
    """Finds what somebody has to be told: that an alert fires, grew or fell, and that it ended.

    An alert that nobody need look at is not told, and neither is the end of one that was not. One
    that recovers or whose source is lost has not ended, so that it is not told anew when it is
    back.
    """

    def __init__(self) -> None:
        self._told: dict[Key, _Told] = {}

    def update(self, snapshot: Snapshot) -> list[Change]:
        """Return what to tell of this snapshot, alerts that ended first."""
        newest = _newest(snapshot)
        news = []
        for key in [key for key in self._told if key not in newest]:
            last = self._told.pop(key).alert
            news.append(Change(snapshot.time, ENDED, last.state.value, last))
        for key, alert in newest.items():
            told = self._told.get(key)
            if alert.state is AlertState.FIRING and not alert.quiet:
                if told is None or told.severity is not alert.severity:
                    previous = OK if told is None else told.alert.state.value
                    news.append(Change(snapshot.time, alert.state.value, previous, alert))
                self._told[key] = _Told(alert.severity, alert)
            elif told is not None:
                # Its end shall tell the peak it had reached by then.
                self._told[key] = told._replace(alert=alert)
        return news


def _newest(snapshot: Snapshot) -> dict[Key, Alert]:
    """Return what may be worth a word; an alert that has become information has ended."""
    return {alert_key(alert): alert for alert in snapshot.alerts if not alert.informs}


def alert_key(alert: Alert) -> Key:
    """Return what makes an alert the same one in two snapshots."""
    if alert.fingerprint:
        return (alert.fingerprint,)
    return (alert.origin, alert.rule, alert.subject)


def severity_word(severity: Severity) -> str:
    """Return the severity as all text output writes it."""
    return _WORDS[severity]


class _Told(NamedTuple):
    """With which severity an alert was last told, and its newest form."""

    severity: Severity
    alert: Alert


def _standing(alert: Alert) -> tuple[object, ...]:
    return (
        alert.state,
        alert.severity,
        alert.silenced_until,
        alert.inhibited_by,
        alert.acknowledged_by,
    )
