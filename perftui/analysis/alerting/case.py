"""One subject that is not ok under one rule: its condition, its numbers and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from perftui.analysis.alerting.condition import Condition, Thresholds
from perftui.analysis.alerting.rule import Reading, Rule
from perftui.snapshot import (
    Absent,
    Alert,
    AlertEvent,
    AlertState,
    Maybe,
    Severity,
    State,
)

NO_CALLS = Absent(State.NOT_COLLECTED, "the rule does not count calls")
NO_BASELINE = Absent(State.NOT_COLLECTED, "the rule compares with no baseline")
NO_LEVEL = Absent(State.NOT_COLLECTED, "the rule has no such level")
NO_MEASURE = Absent(State.NOT_COLLECTED, "the value itself is what is measured")
NO_USUAL = Absent(State.NOT_COLLECTED, "the rule knows nothing usual")
STILL_FIRING = Absent(State.NOT_COLLECTED, "it still fires")


class Moment(NamedTuple):
    """One evaluation: monotonic time for durations, Unix time for people."""

    now: float
    wall: float


class Tally(NamedTuple):
    """Sums over an interval: values times seconds, seconds, and how many values."""

    sum: float
    seconds: float
    samples: int

    @property
    def mean(self) -> float | None:
        """The time-weighted mean, None before any time has passed."""
        return self.sum / self.seconds if self.seconds else None


@dataclass(slots=True)
class Case:
    """What is remembered of one subject under one rule while it is not ok.

    `since` is when the level was passed, not when that had lasted long enough; `changed` when the
    state became what it is. `told` is when a reading last said something, `seen` when the subject
    was last there, both monotonic. `left` is the tally when it began to recover: an interval ends
    there, the time of recovering only proves it. `sum`, `seconds` and `samples` are a Tally that
    grows with every reading.
    """

    condition: Condition
    fingerprint: str
    reading: Reading
    since: float
    changed: float
    told: float
    seen: float
    told_wall: float
    state: AlertState = AlertState.PENDING
    fired: bool = False
    highest: Severity = field(init=False)
    sum: float = 0.0
    seconds: float = 0.0
    samples: int = 0
    left: Tally | None = None
    left_wall: float = 0.0
    peak: Reading | None = None
    peak_sample: int = 0
    message: str = ""
    hint: str = ""
    peak_message: str = ""
    evidence: tuple[str, ...] = ()
    evidence_due: bool = False
    evidence_time: float = float("-inf")
    reason: str = ""
    flapping: bool = False

    def __post_init__(self) -> None:
        self.highest = self.condition.severity

    def move(self, state: AlertState, wall: float) -> None:
        """Enter a state at a Unix time."""
        if state is not self.state:
            self.state = state
            self.changed = wall

    def count(self, reading: Reading, seconds: float, sign: float) -> None:
        """Take one smoothed reading that counted for some seconds."""
        value = reading.value
        self.reading = reading
        self.sum += value * seconds
        self.seconds += seconds
        self.samples += 1
        if self.peak is None or sign * value > sign * self.peak.value:
            self.peak = reading
            self.peak_sample = self.samples
            self.evidence_due = True

    @property
    def tally(self) -> Tally:
        """The sums so far."""
        return Tally(self.sum, self.seconds, self.samples)

    @property
    def end_wall(self) -> float:
        """When the interval ended: where it began to recover, else where it was last known."""
        end = self.left_wall if self.left is not None else self.told_wall
        return max(self.since, end)


def level_of(levels: Thresholds, severity: Severity) -> tuple[Maybe[float], Maybe[float]]:
    """Return the level of a severity and the one that clears it, in the rule's own numbers."""
    bounds = levels.crit if severity is Severity.CRITICAL else levels.warn
    if bounds is None:
        return NO_LEVEL, NO_LEVEL
    return levels.sign * bounds.enter, levels.sign * bounds.clear


def alert_of(rule: Rule, kind: str, enter: Maybe[float], clear: Maybe[float], case: Case) -> Alert:
    """Return the alert of a case, compared with these levels; `kind` is the value of the rule's.

    Thousands may be made in one tick, so what is the same for all of a rule is not looked up here.
    """
    reading = case.reading
    return Alert(
        rule=rule.id,
        severity=case.condition.severity,
        subject=reading.subject,
        value=reading.value,
        threshold=enter,
        unit=rule.unit,
        since=case.since,
        message=case.message,
        hint=case.hint,
        pane=rule.pane,
        state=case.state,
        fingerprint=case.fingerprint,
        title=rule.title,
        kind=kind,
        changed=case.changed,
        clear=clear,
        window=max(rule.smoothing, reading.window),
        n=NO_CALLS if reading.n is None else reading.n,
        baseline=NO_BASELINE if reading.baseline is None else reading.baseline,
        peak=reading.value if case.peak is None else case.peak.value,
        mean=case.sum / case.seconds if case.seconds else reading.value,
        samples=case.samples,
        group=reading.group,
        evidence=case.evidence,
        flapping=case.flapping,
        reason=case.reason,
        measured=NO_MEASURE if reading.measured is None else reading.measured,
        measured_usual=NO_USUAL if reading.usual is None else reading.usual,
        measured_unit=rule.measured_in,
    )


def event_of(rule: Rule, case: Case, ended: bool) -> AlertEvent:
    """Return the interval of a case that has fired, in the words for its peak."""
    peak = case.reading if case.peak is None else case.peak
    tally = case.left if ended and case.left is not None else case.tally
    return AlertEvent(
        fingerprint=case.fingerprint,
        rule=rule.id,
        title=rule.title,
        severity=case.highest,
        subject=peak.subject,
        unit=rule.unit,
        begin=case.since,
        end=case.end_wall if ended else STILL_FIRING,
        peak=peak.value,
        mean=peak.value if tally.mean is None else tally.mean,
        samples=tally.samples,
        message=case.peak_message or rule.title,
        evidence=case.evidence,
    )
