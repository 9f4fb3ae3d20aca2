"""The alerts of one snapshot as plain text: what fires, what may, and what is over."""

from __future__ import annotations

import msgspec

from perftui import format as show
from perftui.output.alert_changes import severity_word
from perftui.output.alert_messages import quiet_notes
from perftui.output.document import iso_utc
from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import Absent, Alert, AlertEvent, AlertState, Snapshot

MOST_EVENTS = 20
STATE_WORDS = {
    AlertState.PENDING: "pending",
    AlertState.FIRING: "firing",
    AlertState.RECOVERING: "recovering",
    AlertState.NODATA: "no data",
}


class AlertsWriter(TextWriter):
    """Writes alerts; a line that begins with WARN or CRIT asks for somebody to look."""

    def alerts(self, snapshot: Snapshot) -> Lines:
        """Write those that fire, with all there is to know, then the others in short."""
        firing = sorted(snapshot.firing, key=lambda alert: -alert.severity.urgency)
        others = [
            alert
            for alert in snapshot.alerts
            if alert not in firing and not (alert.informs and alert.state is AlertState.PENDING)
        ]
        if not firing:
            yield "none is firing" if others else "none"
        names = {alert.fingerprint: alert for alert in snapshot.alerts if alert.fingerprint}
        for alert in firing:
            yield f"{severity_word(alert.severity)} {self._what(alert, names)}"
            yield from self._details(alert, names)
        for alert in others:
            word = severity_word(alert.severity)
            if not alert.informs or alert.state is not AlertState.FIRING:
                word = f"{STATE_WORDS[alert.state]} {word}"
            yield f"{word} {self._what(alert, names)}"

    def events(self, snapshot: Snapshot) -> Lines:
        """Write the intervals in which alerts fired, the newest first."""
        ended = [event for event in snapshot.alert_events if not isinstance(event.end, Absent)]
        for event in sorted(ended, key=lambda event: -event.begin)[:MOST_EVENTS]:
            assert not isinstance(event.end, Absent)
            lasted = show.duration(event.end - event.begin).strip()
            yield (
                f"{severity_word(event.severity)} {self.clean(_headed(event))}: "
                f"{self.clean(event.message)}, from {iso_utc(event.begin)} for {lasted}"
            )
        if len(ended) > MOST_EVENTS:
            yield f"and {len(ended) - MOST_EVENTS} older"

    def _what(self, alert: Alert, names: dict[str, Alert]) -> str:
        origin = "" if alert.origin == "local" else f" (rule of {self.clean(alert.origin)})"
        notes = [f"since {iso_utc(alert.since)}"]
        if alert.flapping:
            notes.append("flapping")
        if alert.state is AlertState.NODATA and alert.reason:
            notes.append(alert.reason)
        other = names.get(alert.inhibited_by)
        named = alert if other is None else _inhibited_by(alert, other)
        notes += quiet_notes(named)
        what = f"{self.clean(_headed(alert))}: {self.clean(alert.message)}{origin}"
        return ", ".join([what, *(self.clean(note) for note in notes)])

    def _details(self, alert: Alert, names: dict[str, Alert]) -> Lines:
        for line in alert.evidence:
            yield f"     {self.clean(line)}"
        for fingerprint in alert.causes:
            cause = names.get(fingerprint)
            if cause is not None:
                yield f"     may be because of {self.clean(_name(cause))}"
        if alert.hint:
            yield f"     next: {self.clean(alert.hint)}"


def _headed(alert: Alert | AlertEvent) -> str:
    """Return title and subject; a title that the message repeats tells nothing more."""
    told = alert.title.casefold() in alert.message.casefold()
    return alert.subject if told else f"{alert.title} {alert.subject}".strip()


def _inhibited_by(alert: Alert, other: Alert) -> Alert:
    return msgspec.structs.replace(alert, inhibited_by=_name(other))


def _name(alert: Alert) -> str:
    return f"{alert.subject}: {alert.title or alert.message}"
