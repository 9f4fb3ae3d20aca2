"""Changes of alerts as JSON, as facts in environment variables, and as one line of text."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

from perftui.output.alert_changes import ENDED, Change, severity_word
from perftui.output.alert_pace import Held, Summary
from perftui.output.document import Json, alert_values, encode, iso_utc, utf8
from perftui.snapshot import SCHEMA, Absent, Alert, AlertState, Maybe
from perftui.text import printable

SUMMARY = "summary"
VARIABLE = "PERFTUI_ALERT_"
LONGEST_VARIABLE = 2000
"""Characters; the kernel limits one variable to 128 KiB and all of them together."""

MOST_LISTED = 100
"""Alerts that a summary tells in full."""


class Message(NamedTuple):
    """What a command or a web hook gets: a JSON object in one line, and the key facts of it."""

    body: bytes
    variables: dict[str, str]


class DeliveryError(Exception):
    """A message could not be delivered; the text names the thing and holds no secret."""


def line_of(change: Change, ascii_only: bool = False) -> str:
    """Return one line of plain text: time, state, severity, rule, subject and message."""
    alert = change.alert
    origin = "" if alert.origin == "local" else f" (rule of {alert.origin})"
    text = (
        f"{iso_utc(change.time)}  {change.state:<10}  {severity_word(alert.severity)}  "
        f"{alert.rule}  {alert.subject}: {alert.message}{origin}"
    )
    notes = [] if change.state == ENDED else list(quiet_notes(alert))
    if alert.flapping:
        notes.append("flapping")
    if alert.state is AlertState.NODATA and alert.reason:
        notes.append(alert.reason)
    return printable(", ".join([text, *notes]), ascii_only)


def quiet_notes(alert: Alert) -> Iterable[str]:
    """Yield why nobody need look at an alert."""
    comment = f" ({alert.comment})" if alert.comment else ""
    if alert.silenced_until:
        yield f"silenced until {iso_utc(alert.silenced_until)}{comment}"
    if alert.acknowledged_by:
        yield f"acknowledged by {alert.acknowledged_by}"
    if alert.inhibited_by:
        yield f"inhibited by {alert.inhibited_by}"


def json_of(change: Change) -> bytes:
    """Return one change as a JSON object in one line, without a line end."""
    return encode(_single(change), indent=0)


def message_of(change: Change) -> Message:
    """Return the message about one change."""
    host = socket.gethostname()
    alert = change.alert
    facts = {
        "CHANGE": change.state,
        "PREVIOUS": change.previous,
        "SEVERITY": alert.severity.value,
        "RULE": alert.rule,
        "TITLE": alert.title,
        "SUBJECT": alert.subject,
        "MESSAGE": alert.message,
        "HINT": alert.hint,
        "VALUE": _number(alert.value),
        "THRESHOLD": _number(alert.threshold),
        "UNIT": alert.unit,
        "SINCE": iso_utc(alert.since),
        "FINGERPRINT": alert.fingerprint,
        "ORIGIN": alert.origin,
        "HOST": host,
        "TEXT": _headline(change, host),
        "COUNT": "1",
    }
    told = {**_single(change), "host": utf8(host), "text": utf8(facts["TEXT"])}
    return Message(encode(told, indent=0), _variables(facts))


def summary_message(summary: Summary, now: float) -> Message:
    """Return the message about what was held back; `now` is Unix time."""
    if len(summary.held) == 1 and summary.held[0].times == 1 and not summary.left_out:
        return message_of(summary.held[0].change)
    host = socket.gethostname()
    count = len(summary.held) + summary.left_out
    fires = [held.change for held in summary.held if held.change.state != ENDED]
    ended = len(summary.held) - len(fires)
    critical = sum(severity_word(change.alert.severity) == "CRIT" for change in fires)
    text = f"{host}: {_alerts(count)} changed: {len(fires)} firing ({critical} critical), "
    text += f"{ended} ended"
    if summary.left_out:
        text += f", {summary.left_out} not listed"
    states: dict[str, Json] = {}
    listed = [
        _held(held, f"changes.{index}", states)
        for index, held in enumerate(summary.held[:MOST_LISTED])
    ]
    told: dict[str, object] = {
        "schema": SCHEMA,
        "time": iso_utc(now),
        "change": SUMMARY,
        "changes": listed,
        "left_out": summary.left_out + max(0, len(summary.held) - MOST_LISTED),
        "states": states,
        "host": utf8(host),
        "text": utf8(text),
    }
    facts = {
        "CHANGE": SUMMARY,
        "SEVERITY": "critical" if critical else "warning" if fires else "",
        "HOST": host,
        "TEXT": text,
        "MESSAGE": text,
        "COUNT": str(count),
        "FIRING": str(len(fires)),
        "ENDED": str(ended),
    }
    return Message(encode(told, indent=0), _variables(facts))


def _single(change: Change) -> dict[str, object]:
    states: dict[str, Json] = {}
    return {
        "schema": SCHEMA,
        "time": iso_utc(change.time),
        "change": change.state,
        "previous": change.previous,
        "alert": alert_values(change.alert, "alert", states),
        "states": states,
    }


def _held(held: Held, path: str, states: dict[str, Json]) -> dict[str, Json]:
    change = held.change
    return {
        "time": iso_utc(change.time),
        "change": change.state,
        "previous": change.previous,
        "times": held.times,
        "alert": alert_values(change.alert, f"{path}.alert", states),
    }


def _headline(change: Change, host: str) -> str:
    alert = change.alert
    what = f"{severity_word(alert.severity)} {alert.subject}: {alert.message}"
    return f"{host}: {change.state}: {what}"


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{count} alerts"


def _number(value: Maybe[float]) -> str:
    return "" if isinstance(value, Absent) else repr(value)


def _variables(facts: dict[str, str]) -> dict[str, str]:
    # A zero byte would end the value, and a line end in one breaks what is made of it in a shell.
    return {
        f"{VARIABLE}{name}": printable(value[:LONGEST_VARIABLE]) for name, value in facts.items()
    }
