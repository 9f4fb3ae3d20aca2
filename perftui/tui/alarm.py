"""Bell and desktop notification for alerts that begin to fire, at most one in a while."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

from perftui.snapshot import Alert, AlertState, Severity, Snapshot
from perftui.text import printable
from perftui.tui.panes.alert_marks import SEVERITY_WORDS, alert_key, name_of, rank

PAUSE = 10.0
"""Least seconds between two alarms."""
FLAPPING_PAUSE = 3600.0
"""Least seconds between two alarms for an alert that comes and goes all the time."""
LONGEST = 160
BELL = "\a"
_LASTING = frozenset({AlertState.FIRING, AlertState.RECOVERING, AlertState.NODATA})
_CONSOLES = ("linux", "dumb", "vt")
_TERM_777 = ("rxvt", "foot", "contour")
_PROGRAM_777 = frozenset({"ghostty"})


class Alarm:
    """Finds the alerts that are new since the last snapshot and puts them into one message."""

    def __init__(
        self,
        bell: bool,
        notify: bool,
        environment: Mapping[str, str],
        ascii_only: bool = False,
        began: float = 0.0,
    ) -> None:
        """Tell only of what is newer than `began`, Unix time: what was there already is no news.

        With `ascii_only` nothing else is sent: to a terminal that does not know UTF-8, bytes of
        other characters are control characters.
        """
        self._bell = bell
        self._notify = notify
        self._environment = environment
        self._ascii_only = ascii_only
        self._began = began
        self._told: dict[Hashable, Severity] = {}
        self._rang: dict[Hashable, tuple[float, Severity]] = {}
        self._last = -math.inf

    def update(self, snapshot: Snapshot) -> str:
        """Return what shall be sent to the terminal for a snapshot; mostly nothing.

        An alert is told of once for as long as it lasts, and again when it becomes critical; one
        that flaps, at most once in FLAPPING_PAUSE. One that is silenced, inhibited or acknowledged
        is not told of before that ends.
        """
        if not (self._bell or self._notify):
            return ""
        now = snapshot.monotonic
        self._forget(snapshot)
        news = sorted((alert for alert in snapshot.firing if self._is_new(alert)), key=rank)
        if not news or now - self._last < PAUSE:
            return ""
        self._last = now
        self._told.update((alert_key(alert), alert.severity) for alert in news)
        self._rang.update((alert_key(alert), (now, alert.severity)) for alert in news)
        said = message(news, self._ascii_only)
        text = notification(said, self._environment) if self._notify else ""
        return f"{text}{BELL if self._bell else ''}"

    def _forget(self, snapshot: Snapshot) -> None:
        """Forget the alerts that have ended, and take as told those that were there already."""
        late = snapshot.monotonic - FLAPPING_PAUSE
        self._rang = {key: rang for key, rang in self._rang.items() if rang[0] > late}
        lasting = {alert_key(alert) for alert in snapshot.alerts if alert.state in _LASTING}
        self._told = {key: told for key, told in self._told.items() if key in lasting}
        for alert in snapshot.firing:
            key = alert_key(alert)
            if alert.flapping and key in self._rang:
                self._told.setdefault(key, self._rang[key][1])
            elif alert.since < self._began:
                self._told.setdefault(key, alert.severity)

    def _is_new(self, alert: Alert) -> bool:
        told = self._told.get(alert_key(alert))
        return told is None or told.urgency < alert.severity.urgency


def message(alerts: list[Alert], ascii_only: bool = False) -> str:
    """Return the first alert in words, safe for a terminal, and how many more there are."""
    first = alerts[0]
    more = f" (+{len(alerts) - 1} more)" if len(alerts) > 1 else ""
    said = f"{name_of(first, ascii_only)}: {printable(first.message, ascii_only)}"
    text = f"{SEVERITY_WORDS[first.severity]} {said}"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 3]}..."
    return f"{text}{more}"


def notification(text: str, environment: Mapping[str, str]) -> str:
    """Return the sequence that has a terminal show a notification; empty for one that cannot.

    OSC 9 as iTerm2, Windows Terminal, kitty and WezTerm take it, OSC 777 where the terminal is
    one of those that only know that of rxvt-unicode. `text` must be printable. Within tmux it goes
    through to the outer terminal where `allow-passthrough` is on (tmux(1)), and is dropped else.
    """
    term = environment.get("TERM", "")
    # The variable does not come along through SSH, the name of the terminal does.
    in_tmux = bool(environment.get("TMUX")) or term.startswith("tmux")
    if not term or (term.startswith(_CONSOLES) and not in_tmux):
        return ""
    knows_777 = (
        term.startswith(_TERM_777)
        or bool(environment.get("VTE_VERSION"))
        or environment.get("TERM_PROGRAM", "") in _PROGRAM_777
    )
    # The semicolon separates fields; a digit first would be a command of ConEmu's own OSC 9.
    body = printable(text).replace(";", ",")
    if knows_777:
        sequence = f"\x1b]777;notify;perftui;{body}\x1b\\"
    else:
        sequence = f"\x1b]9;perftui: {body}\x1b\\"
    if in_tmux:
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{doubled}\x1b\\"
    return sequence
