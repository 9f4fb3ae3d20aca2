"""Alerts of a Prometheus server from tick to tick, also while the server does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from perftui.analysis.alerting.case import STILL_FIRING, Moment
from perftui.analysis.server_alerts import server_alerts
from perftui.snapshot import (
    Absent,
    Alert,
    AlertEvent,
    AlertState,
    Maybe,
    Severity,
    Snapshot,
    State,
)

NO_VALUE = Absent(State.NOT_COLLECTED, "the server gave no value")


@dataclass(slots=True)
class _Known:
    alert: Alert
    begin: float
    sum: float = 0.0
    samples: int = 0
    peak: float | None = None
    highest: Severity = Severity.INFO

    def take(self, alert: Alert) -> None:
        self.alert = alert
        if alert.severity.urgency > self.highest.urgency:
            self.highest = alert.severity
        if not isinstance(alert.value, Absent):
            self.sum += alert.value
            self.samples += 1
            # Which direction is bad only the rule of the server knows; mostly it is more.
            self.peak = alert.value if self.peak is None else max(self.peak, alert.value)

    def event(self, end: Maybe[float]) -> AlertEvent:
        alert = self.alert
        return AlertEvent(
            fingerprint=alert.fingerprint,
            rule=alert.rule,
            title=alert.title,
            severity=self.highest,
            subject=alert.subject,
            unit=alert.unit,
            begin=self.begin,
            end=end if isinstance(end, Absent) else max(self.begin, end),
            peak=NO_VALUE if self.peak is None else self.peak,
            mean=self.sum / self.samples if self.samples else NO_VALUE,
            samples=self.samples,
            message=alert.message,
        )


class RememberedServer:
    """Keeps the alerts of a server as NODATA while it does not answer."""

    def __init__(self, ended: Callable[[AlertEvent], None]) -> None:
        self._ended = ended
        self._known: dict[str, _Known] = {}
        self._ends: dict[str, float] = {}

    def update(self, snapshot: Snapshot, moment: Moment) -> list[Alert]:
        """Return the alerts of the server as they are, or as they were."""
        server = snapshot.prometheus
        told: Maybe[object] = server if isinstance(server, Absent) else server.alerts
        status = snapshot.status("prometheus")
        if isinstance(told, Absent):
            return self._without(told.reason, moment)
        if status is not None and status.state is not State.OK:
            return self._without(status.reason, moment)
        assert not isinstance(server, Absent)
        found = {alert.fingerprint: alert for alert in server_alerts(server)}
        for name in [name for name in self._known if name not in found]:
            self._ended(self._known.pop(name).event(moment.wall))
            self._ends[name] = moment.wall
        for name, alert in found.items():
            known = self._known.get(name)
            if known is None:
                # The server may tell of the same begin again after it had left the alert out.
                begin = max(alert.since, self._ends.get(name, alert.since))
                known = self._known[name] = _Known(alert, begin)
            known.take(alert)
        self._ends = {name: end for name, end in self._ends.items() if moment.wall - end < 86_400}
        return list(found.values())

    def lasting(self) -> Iterator[AlertEvent]:
        """Yield the intervals that have not ended."""
        for known in self._known.values():
            yield known.event(STILL_FIRING)

    def _without(self, reason: str, moment: Moment) -> list[Alert]:
        for known in self._known.values():
            alert = known.alert
            if alert.state is not AlertState.NODATA:
                known.alert = msgspec.structs.replace(
                    alert, state=AlertState.NODATA, changed=moment.wall, reason=reason
                )
        return [known.alert for known in self._known.values()]
