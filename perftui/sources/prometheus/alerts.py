"""Alerts that a Prometheus server found by its own rules; none is evaluated here again."""

from __future__ import annotations

import math

import msgspec

from perftui.snapshot import Absent, Maybe, ServerAlert, State
from perftui.sources.prometheus.answers import RuleAlert, Rules, unix_time

NO_VALUE = Absent(State.NOT_COLLECTED, "the rule has no number")
MOST_ALERTS = 500


class FoundAlerts(msgspec.Struct, frozen=True):
    """The firing alerts, longest first, and notes about pending ones and broken rules."""

    firing: tuple[ServerAlert, ...]
    notes: tuple[str, ...]


def alerts_of(rules: Rules) -> FoundAlerts:
    """Return what the rules found; replicas that tell the same alert count once."""
    firing: dict[tuple[str, tuple[tuple[str, str], ...]], ServerAlert] = {}
    pending = 0
    broken: dict[str, str] = {}
    for group in rules.groups or ():
        for rule in group.rules or ():
            if rule.health == "err":
                broken[rule.name] = rule.last_error
            for alert in rule.alerts or ():
                if alert.state == "pending":
                    pending += 1
                elif alert.state == "firing":
                    made = _alert(rule.name, alert)
                    firing.setdefault((made.name, made.labels), made)
    found = sorted(firing.values(), key=lambda alert: (alert.since, alert.name, alert.labels))
    notes = []
    if pending:
        notes.append(f"{pending} {'alert is' if pending == 1 else 'alerts are'} pending")
    if broken:
        name, why = next(iter(broken.items()))
        others = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        notes.append(f"rule {name}{others} cannot be evaluated: {' '.join(why.split())[:120]}")
    if len(found) > MOST_ALERTS:
        notes.append(f"{len(found) - MOST_ALERTS} more alerts fire than are shown")
    return FoundAlerts(tuple(found[:MOST_ALERTS]), tuple(notes))


def _alert(rule: str, alert: RuleAlert) -> ServerAlert:
    labels, annotations = alert.labels, alert.annotations
    summary = (annotations.get(name) for name in ("summary", "description", "message"))
    return ServerAlert(
        name=labels.get("alertname") or rule,
        severity=labels.get("severity", ""),
        labels=tuple(
            sorted(
                (name, value)
                for name, value in labels.items()
                if name not in ("alertname", "severity")
            )
        ),
        summary=next((text for text in summary if text), ""),
        runbook=annotations.get("runbook_url", ""),
        since=(unix_time(alert.active_at) if alert.active_at else None) or 0.0,
        value=_value(alert.value),
    )


def _value(text: str) -> Maybe[float]:
    try:
        value = float(text)
    except ValueError:
        return NO_VALUE
    return NO_VALUE if math.isnan(value) else value
