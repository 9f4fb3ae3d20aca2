"""How alerts of one moment relate: which make others pointless, and which may explain others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from perftui.analysis.alerting.rule import Kind, Rule
from perftui.snapshot import Absent, Alert, AlertState, Snapshot

MOST_CAUSES = 8
EXPLAINING = (Kind.SATURATION.value, Kind.ERROR.value, Kind.UTILISATION.value)
"""Kinds that may explain a symptom, the likeliest first."""
SHARED = frozenset({"", "host"})
"""Groups of alerts about the machine that perftui runs on."""
LOOPBACK = ("localhost", "127.", "[::1]")
OPEN = frozenset({AlertState.FIRING, AlertState.RECOVERING})
EXPLAINED = OPEN | {AlertState.NODATA}


def inhibit(alerts: Sequence[Alert], rules: Mapping[str, Rule]) -> list[Alert]:
    """Return the alerts, those marked that are a mere consequence of another that fires.

    The other is of a rule that the alert's rule names, and about the alert's subject or its group
    as a whole; or it says that a source is down from which the alert's rule reads. A cause does not
    inhibit its symptom.
    """
    inhibiting = {other for rule in rules.values() for other in rule.inhibited_by}
    index: dict[tuple[str, str], Alert] = {}
    down: dict[str, Alert] = {}
    for alert in alerts:
        # Of what is only information nobody is told, so it must not hide a warning.
        if alert.state is AlertState.FIRING and alert.origin == "local" and not alert.informs:
            if alert.rule in inhibiting:
                index.setdefault((alert.rule, alert.subject), alert)
            rule = rules.get(alert.rule)
            if rule is not None and rule.kind is Kind.SELF and not rule.sources:
                down.setdefault(alert.subject, alert)
    if not index and not down:
        return list(alerts)
    consequences = {
        rule.id: sorted(rule.inhibited_by)
        for rule in rules.values()
        if rule.inhibited_by or (down and rule.kind is not Kind.SELF)
    }
    return [
        _inhibited(alert, rules[alert.rule], consequences[alert.rule], index, down)
        if alert.rule in consequences and alert.origin == "local"
        else alert
        for alert in alerts
    ]


def _inhibited(
    alert: Alert,
    rule: Rule,
    others: Sequence[str],
    index: Mapping[tuple[str, str], Alert],
    down: Mapping[str, Alert],
) -> Alert:
    found = None
    for other in others:
        found = index.get((other, alert.subject)) or index.get((other, alert.group))
        if found is not None:
            break
    if found is None and rule.kind is not Kind.SELF and down:
        found = next((down[name] for name in sorted(rule.sources) if name in down), None)
    # Nothing inhibits itself, nor each other: one of the two has to stay in view.
    if found is None or found.fingerprint == alert.fingerprint:
        return alert
    return msgspec.structs.replace(alert, inhibited_by=found.fingerprint)


def one_of_each_pair(alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts, of which no two inhibit each other: the one before stays in view."""
    by = {alert.fingerprint: alert.inhibited_by for alert in alerts if alert.inhibited_by}
    if not by:
        return list(alerts)
    kept: set[str] = set()
    for alert in alerts:
        chain: list[str] = []
        place = alert.fingerprint
        while place in by and place not in kept and place not in chain:
            chain.append(place)
            place = by[place]
        if place in chain:
            # They go round in a circle, so the first of it asks to be looked at.
            kept.add(place)
    return [
        msgspec.structs.replace(alert, inhibited_by="") if alert.fingerprint in kept else alert
        for alert in alerts
    ]


def explain(alerts: Sequence[Alert], snapshot: Snapshot) -> list[Alert]:
    """Return the alerts, symptoms with the fingerprints of what overlaps them and may explain them.

    An alert may explain a symptom when it is of the same group or subject, of a host the symptom's
    service runs on, or of this machine unless the service is known to run elsewhere.
    """
    causes = [
        alert
        for alert in alerts
        if alert.kind in EXPLAINING and alert.state in EXPLAINED and alert.origin == "local"
    ]
    if not causes:
        return list(alerts)
    causes.sort(
        key=lambda alert: (
            EXPLAINING.index(alert.kind),
            -alert.severity.urgency,
            alert.since,
        )
    )
    by_name: dict[str, list[int]] = {}
    for place, cause in enumerate(causes):
        for name in {cause.subject, "" if cause.group in SHARED else cause.group}:
            by_name.setdefault(name, []).append(place)
    near = _scopes(snapshot)
    # Thousands of operations of one service have the same causes.
    known: dict[tuple[str | None, str], tuple[str, ...]] = {}

    def explained(alert: Alert) -> Alert:
        if alert.kind != Kind.SYMPTOM.value or alert.state not in EXPLAINED:
            return alert
        key = (alert.subject if alert.subject in by_name else None, alert.group)
        found = known.get(key)
        if found is None:
            found = known[key] = _causes(alert, causes, by_name, near)
        return msgspec.structs.replace(alert, causes=found) if found else alert

    return [explained(alert) for alert in alerts]


def _scopes(snapshot: Snapshot) -> dict[str, set[str]]:
    """Return the groups whose alerts may explain those of a service; "" is this machine."""
    here = "" if isinstance(snapshot.host, Absent) else snapshot.host.name
    scopes: dict[str, set[str]] = {}
    for service in snapshot.all_services:
        scope = scopes.setdefault(service.name, set())
        for host in service.hosts:
            scope.add(host)
            if not here or host == here or host.startswith(LOOPBACK):
                scope.add("")
    return scopes


def _causes(
    alert: Alert,
    causes: Sequence[Alert],
    by_name: Mapping[str, Sequence[int]],
    scopes: Mapping[str, set[str]],
) -> tuple[str, ...]:
    names = {alert.subject, alert.group, *scopes.get(alert.group, {""})}
    places = sorted({place for name in names for place in by_name.get(name, ())[:MOST_CAUSES]})
    return tuple(causes[place].fingerprint for place in places[:MOST_CAUSES])
