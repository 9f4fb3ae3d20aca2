"""Alerts, and the events of which the history is made."""

from __future__ import annotations

import enum

from perftui.snapshot.part import NOT_STARTED, Maybe, Part


class Severity(enum.Enum):
    """How urgent an alert is; information is worth knowing, but asks nobody to look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def urgency(self) -> int:
        """The place among severities, what is most urgent having the largest number."""
        return _URGENCY[self]


_URGENCY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class AlertState(enum.Enum):
    """Where an alert is between ok and ok again; NODATA keeps the last verdict in view."""

    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    NODATA = "nodata"


class Alert(Part, frozen=True, gc=False):
    """A condition of one rule and one subject that is not ok.

    `since` is Unix time of the begin of the interval, `changed` that of the newest state. `value`
    is smoothed over `window` seconds and compared with `threshold`; it has to pass `clear` for the
    alert to end. `peak` and `mean` are of the interval so far, of `samples` evaluations; `n` is
    how many calls or look-ups the value is made of. A `unit` of YES_NO says that the value is 1 for
    yes and 0 for no, or the part of the time in between. Where the value is a ratio, `measured` is
    what it is made of, now, and `measured_usual` what that usually is, both in `measured_unit`.
    `pane` explains it, `hint` is the next step.
    `causes` are fingerprints of alerts that overlap it and may explain it, `inhibited_by` that of
    one of which it is a mere consequence. `reason` says why there is no data. `origin` is `local`
    for perftui's own rules, else the server whose rule it is. An alert that is silenced, inhibited
    or acknowledged goes on, but asks nobody to look, as information never does.
    """

    rule: str
    severity: Severity
    subject: str
    value: Maybe[float]
    threshold: Maybe[float]
    unit: str
    since: float
    message: str
    hint: str
    pane: str
    origin: str = "local"
    state: AlertState = AlertState.FIRING
    fingerprint: str = ""
    title: str = ""
    kind: str = ""
    changed: float = 0.0
    clear: Maybe[float] = NOT_STARTED
    window: float = 0.0
    n: Maybe[int] = NOT_STARTED
    baseline: Maybe[float] = NOT_STARTED
    peak: Maybe[float] = NOT_STARTED
    mean: Maybe[float] = NOT_STARTED
    samples: int = 0
    group: str = ""
    evidence: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    silenced_until: float = 0.0
    comment: str = ""
    inhibited_by: str = ""
    acknowledged_by: str = ""
    flapping: bool = False
    reason: str = ""
    measured: Maybe[float] = NOT_STARTED
    measured_usual: Maybe[float] = NOT_STARTED
    measured_unit: str = ""

    @property
    def informs(self) -> bool:
        """Whether it is information."""
        return self.severity is Severity.INFO

    @property
    def hushed(self) -> bool:
        """Whether somebody or another alert has said that nobody need look."""
        return bool(self.silenced_until or self.inhibited_by or self.acknowledged_by)

    @property
    def quiet(self) -> bool:
        """Whether nobody need look: it is hushed, or information."""
        return self.informs or self.hushed


class AlertEvent(Part, frozen=True, gc=False):
    """One interval in which an alert fired, from its begin to its end; Unix times.

    `severity` is the highest it reached; `end` is Absent while it lasts.
    """

    fingerprint: str
    rule: str
    title: str
    severity: Severity
    subject: str
    unit: str
    begin: float
    end: Maybe[float]
    peak: Maybe[float]
    mean: Maybe[float]
    samples: int
    message: str
    evidence: tuple[str, ...] = ()
