"""Alerts in every state, for the tests of what is written about them."""

from __future__ import annotations

from typing import Any

import msgspec

from perftui.snapshot import (
    Absent,
    Alert,
    AlertEvent,
    AlertState,
    Severity,
    Snapshot,
    State,
)

BEGIN = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""

GONE = Absent(State.UNAVAILABLE, "Redis at localhost:6379 refused the connection", "start it")


def alert(subject: str = "host", **fields: Any) -> Alert:
    """Return an alert that fires; its fingerprint is made of its subject."""
    usual: dict[str, Any] = {
        "rule": "R10",
        "severity": Severity.WARNING,
        "subject": subject,
        "value": 91.5,
        "threshold": 80.0,
        "unit": "percent",
        "since": BEGIN,
        "message": "CPU 91.5 %, above 80 %",
        "hint": "8 Processes shows the busiest",
        "pane": "resources",
        "fingerprint": f"f-{subject}",
        "title": "CPU busy",
        "kind": "utilisation",
        "changed": BEGIN + 60,
        "clear": 75.0,
        "window": 60.0,
        "n": Absent(State.OK, "the value is not made of calls"),
        "baseline": Absent(State.OK, "the rule has no baseline"),
        "peak": 97.0,
        "mean": 90.25,
        "samples": 75,
        "evidence": ("python (pid 7) 88 %",),
    }
    return Alert(**usual | fields)


def every_state() -> Snapshot:
    """Return a snapshot with an alert in each state, one quiet in each way, and events."""
    alerts = (
        alert("pool", state=AlertState.PENDING),
        alert("redis", state=AlertState.NODATA, reason=GONE.reason, value=GONE),
        alert("disk", state=AlertState.RECOVERING),
        alert("known", silenced_until=BEGIN + 3600, comment="restart at noon"),
        alert("seen", acknowledged_by="ann"),
        alert("symptom", inhibited_by="f-host"),
        alert("host", severity=Severity.CRITICAL, causes=("f-disk", "f-gone"), flapping=True),
        alert("fleet", origin="prometheus", fingerprint="", n=40, baseline=30.5),
    )
    events = (
        AlertEvent("f-disk", "R17", "disk full", Severity.CRITICAL, "/", "percent", BEGIN,
                   BEGIN + 300, 99.0, 95.5, 300, "99 % used", ("/var/log grows",)),
        AlertEvent("f-host", "R10", "CPU busy", Severity.WARNING, "host", "percent", BEGIN,
                   Absent(State.OK, "it lasts"), 97.0, 90.0, 75, "CPU 91.5 %"),
    )  # fmt: skip
    return snapshot(*alerts, events=events)


def snapshot(*alerts: Alert, time: float = 0.0, events: tuple[AlertEvent, ...] = ()) -> Snapshot:
    """Return a snapshot with alerts, `time` seconds after BEGIN."""
    return Snapshot(int(time) + 1, BEGIN + time, time, alerts=alerts, alert_events=events)


def changed(one: Alert, **fields: Any) -> Alert:
    """Return an alert with other fields."""
    return msgspec.structs.replace(one, **fields)
