"""Alerts in every state and intervals of the past, for tests of what shows them."""

from __future__ import annotations

import msgspec
from sample import HOSTILE, NOW, full_snapshot

from perftui.snapshot import Absent, Alert, AlertEvent, AlertState, Severity, Snapshot, State

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING
DAY = 86_400.0


def alert(
    name: str,
    subject: str,
    severity: Severity = WARNING,
    state: AlertState = AlertState.FIRING,
    **fields: object,
) -> Alert:
    """Return an alert with the usual fields, its fingerprint being `name`."""
    usual: dict[str, object] = {
        "rule": name,
        "severity": severity,
        "subject": subject,
        "value": 91.0,
        "threshold": 80.0,
        "unit": "percent",
        "since": NOW - 75,
        "message": "91.0 %, above 80 %",
        "hint": "press 8, then s to sort by CPU",
        "pane": "resources",
        "state": state,
        "fingerprint": name,
        "title": name.replace("_", " "),
    }
    return Alert(**{**usual, **fields})  # type: ignore[arg-type]


def slow_checkout() -> Alert:
    """Return the alert that has all there is to tell."""
    return alert(
        "slow_operation", "shop/checkout", CRITICAL, rule="R03", unit="seconds", value=0.412,
        threshold=0.266, message="p95 412 ms = 3.1 x its own 133 ms (n=860)", since=NOW - 130,
        hint="p profiles a worker: select it in 8 Processes", pane="operations", clear=0.213,
        window=60.0, n=860, baseline=0.133, peak=0.498, mean=0.405, samples=130,
        evidence=("pid 101 gunicorn 88.5 % of a core", "price_for shop/price.py:88 takes 41 %",
                  f"{HOSTILE} waits for I/O"),
        causes=("high_cpu",), changed=NOW - 70,
    )  # fmt: skip


def all_alerts() -> tuple[Alert, ...]:
    """Return one alert of each kind in the order in which none is where it belongs."""
    return (
        alert("quiet_cache", "shop:price", silenced_until=NOW + 3600, pane="cache",
              comment=f"deploy until noon {HOSTILE}"),
        alert("server_overloaded", "web/api-2", inhibited_by="high_cpu", pane="servers"),
        alert("many_descriptors", "gunicorn", acknowledged_by="ann@web-01", pane="processes",
              since=NOW - 3 * DAY),
        alert("io_stalled", "host", state=AlertState.NODATA, reason="/proc/pressure/io is gone"),
        alert("swap_used", "host", state=AlertState.RECOVERING),
        alert("disk_nearly_full", "/srv", CRITICAL, AlertState.PENDING),
        alert("high_cpu", "host", flapping=True, since=NOW - 2 * DAY),
        alert("hostile", HOSTILE, message=HOSTILE, hint=HOSTILE, title=HOSTILE),
        slow_checkout(),
    )  # fmt: skip


def past() -> tuple[AlertEvent, ...]:
    """Return intervals: one of an alert that goes on, one of today, one of days ago."""
    gone = Absent(State.NOT_COLLECTED, "it goes on")
    return (
        AlertEvent("slow_operation", "slow_operation", "slow operation", CRITICAL,
                   "shop/checkout", "seconds", NOW - 130, gone, 0.498, 0.405, 130, "p95 412 ms"),
        AlertEvent("e1", "slow_operation", "slow operation", WARNING, "shop/product", "seconds",
                   NOW - 7300, NOW - 7000, 0.35, 0.3, 300, "p95 350 ms = 2.2 x its own 160 ms",
                   ("pid 101 gunicorn 95 % of a core",)),
        AlertEvent("e2", "high_memory", "high memory", CRITICAL, "host", "percent",
                   NOW - 4 * DAY, NOW - 4 * DAY + 5400, 97.2, 95.0, 5400, "memory 97.2 %"),
    )  # fmt: skip


def alarmed() -> Snapshot:
    """Return the full snapshot with all alerts and the past."""
    return msgspec.structs.replace(full_snapshot(), alerts=all_alerts(), alert_events=past())
