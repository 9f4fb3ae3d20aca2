"""Alerts that a Prometheus server found by its own rules, in the words of perftui's alerts."""

from __future__ import annotations

from perftui.analysis.alerting.fingerprint import fingerprint
from perftui.snapshot import Absent, Alert, Prometheus, ServerAlert, Severity, State

ORIGIN = "prometheus"
CRITICAL_WORDS = frozenset({"critical", "crit", "page", "error", "fatal", "emergency"})
"""Values of the label `severity` that mean that a person has to look now."""
INFO_WORDS = frozenset({"info", "information", "informational", "notice", "none"})
"""Values of it that mean that nobody has to; `none` is that of alerts that fire for ever, to prove
that alerts arrive."""

SUBJECT_LABELS = ("service", "job", "operation", "handler", "route", "pod", "instance")
OPERATION_LABELS = frozenset({"operation", "handler", "route", "grpc_method", "http_route"})
WITHOUT_MEANING = frozenset({"alertname", "severity", "prometheus", "replica", "monitor"})
LONGEST_SUBJECT = 80
LONGEST_MESSAGE = 400
SERVER_THRESHOLD = Absent(State.NOT_COLLECTED, "the threshold is in the rule of the server")
SEE_RULE = "see the rule in Prometheus"


def server_alerts(server: Prometheus) -> list[Alert]:
    """Return the alerts of a server as they are; the rules judged values and durations."""
    if isinstance(server.alerts, Absent):
        return []
    return [_alert(found, server.address) for found in server.alerts]


def _alert(found: ServerAlert, address: str) -> Alert:
    names = {name for name, _ in found.labels}
    message = found.name if not found.summary else f"{found.name}: {found.summary}"
    # The label severity is left out: an alert that gets worse is still the same.
    identity = [label for label in found.labels if label[0] != "severity"]
    return Alert(
        fingerprint=fingerprint(found.name, "", identity),
        title=found.name,
        changed=found.since,
        rule=found.name,
        severity=_severity(found.severity),
        subject=_bounded(_subject(found, address), LONGEST_SUBJECT),
        value=found.value,
        threshold=SERVER_THRESHOLD,
        unit="",
        since=found.since,
        message=_bounded(message, LONGEST_MESSAGE),
        hint=_bounded(found.runbook, LONGEST_MESSAGE) or SEE_RULE,
        pane="operations" if names & OPERATION_LABELS else "resources",
        origin=ORIGIN,
    )


def _subject(found: ServerAlert, address: str) -> str:
    labels = dict(found.labels)
    parts = [labels[name] for name in SUBJECT_LABELS if labels.get(name)]
    if not parts:
        parts = [
            f"{name}={value}"
            for name, value in found.labels
            if value and name not in WITHOUT_MEANING
        ]
    # A label repeated under another name, such as service and job, says nothing new.
    return " ".join(dict.fromkeys(parts)) or address


def _severity(label: str) -> Severity:
    word = label.strip().lower()
    if word in CRITICAL_WORDS:
        return Severity.CRITICAL
    return Severity.INFO if word in INFO_WORDS else Severity.WARNING


def _bounded(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
