"""The alert engine of whoever runs perftui: their settings, their silences, their name."""

from __future__ import annotations

import getpass
import os
from glob import escape
from typing import TYPE_CHECKING

from perftui.analysis.alerting.configured import configured_rules
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.silences import Silence, SilenceBook
from perftui.config.paths import silences_file
from perftui.snapshot import Alert

if TYPE_CHECKING:
    from perftui.config import Settings


def user_engine(settings: Settings, immediate: bool = False) -> AlertEngine:
    """Return an engine with the rules of the settings and the silences of this user.

    `immediate` judges each snapshot alone, see AlertEngine.
    """
    return AlertEngine(
        configured_rules(settings), SilenceBook(silences_file()), immediate=immediate
    )


def silence(engine: AlertEngine, alert: Alert, seconds: float, comment: str, scope: str) -> Silence:
    """Silence an alert in the name of this user; `scope` is `alert`, `rule` or `subject`.

    With the other two all alerts of its rule, or about its subject, are silent. Raises ValueError
    when the seconds are not more than zero.
    """
    return engine.silence(
        seconds,
        user_name(),
        comment,
        fingerprint=alert.fingerprint if scope == "alert" else "",
        rule=escape(alert.rule) if scope == "rule" else "*",
        subject=escape(alert.subject) if scope == "subject" else "*",
    )


def user_name() -> str:
    """Return the name of whoever runs this, their number where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
