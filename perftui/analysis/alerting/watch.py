"""One rule and all of its subjects, evaluated tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import NamedTuple

from perftui.analysis.alerting.case import Case, Moment, Tally, alert_of, event_of, level_of
from perftui.analysis.alerting.condition import Condition, thresholds
from perftui.analysis.alerting.fingerprint import fingerprint
from perftui.analysis.alerting.flapping import Flapping
from perftui.analysis.alerting.rule import Reading, Rule
from perftui.analysis.alerting.smoothing import Smoothing
from perftui.snapshot import (
    Absent,
    Alert,
    AlertEvent,
    AlertState,
    Severity,
    Snapshot,
)

LONGEST_SILENCE = 3600.0
"""Seconds after which an alert ends whose subject has had too few calls since, or is not told of by
those of its rule's sources that are well."""
LONGEST_MEMORY = 1000
"""Subjects beyond those there are now whose means are kept while a source gives nothing."""
EVIDENCE_PAUSE = 5.0
"""Seconds between two looks for evidence of one alert while its peak still grows."""

PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RECOVERING, NODATA = AlertState.RECOVERING, AlertState.NODATA


class Supply(NamedTuple):
    """How the sources of a rule do: why one gives nothing, and seconds between two readings.

    `lost` is empty when all are well, `partly` says that one is. Without a source that tells there
    is no patience.
    """

    lost: str = ""
    interval: float = 1.0
    patience: float = 0.0
    partly: bool = True


class RuleWatch:
    """Smoothing, conditions and intervals of the subjects of one rule.

    `immediate` takes every reading as it is, without smoothing or durations.
    """

    def __init__(
        self, rule: Rule, ended: Callable[[AlertEvent], None], immediate: bool = False
    ) -> None:
        self.rule = rule
        self.failure = ""
        self._wording_failure = ""
        self._ended = ended
        self._hold = 0.0 if immediate else rule.hold
        self._keep = 0.0 if immediate else rule.keep
        self._levels = thresholds(rule.levels)
        smoothing = 0.0 if immediate else max(0.0, rule.smoothing)
        self._smoothing = Smoothing(smoothing) if smoothing else None
        self._settled = min(smoothing / 2, max(0.0, smoothing - self._hold))
        self._cases: dict[str, Case] = {}
        self._flapping: dict[str, Flapping] = {}
        self._moment = Moment(0.0, 0.0)
        self._supply = Supply()

    def evaluate(self, snapshot: Snapshot, moment: Moment, supply: Supply) -> None:
        """Read all subjects; a rule that fails keeps its alerts as NODATA and says why."""
        self._moment, self._supply = moment, supply
        self.failure, self._wording_failure = self._wording_failure, ""
        seen: set[str] = set()
        try:
            self._read(snapshot, seen)
        except Exception as error:
            self._fail(error)
            return
        smoothing = self._smoothing
        if smoothing is not None and (
            not supply.lost or len(smoothing) > len(seen) + LONGEST_MEMORY
        ):
            smoothing.keep(seen)
        self._miss(seen)
        if self._flapping:
            self._forget_changes()

    def alerts(self) -> Iterator[Alert]:
        """Yield an alert of each subject that is not ok."""
        for case in self._cases.values():
            if case.told == self._moment.now:
                self._word(case)
            yield alert_of(self.rule, self._levels, case)

    def lasting(self) -> Iterator[AlertEvent]:
        """Yield the intervals that have not ended."""
        for case in self._cases.values():
            if case.fired:
                yield event_of(self.rule, case, ended=False)

    def gather_evidence(self, snapshot: Snapshot, most: int) -> int:
        """Look for the evidence of new peaks, at most so many times; return how many it were."""
        looked = 0
        now = self._moment.now
        for case in self._cases.values():
            if looked >= most:
                break
            if (
                case.evidence_due
                and case.state is FIRING
                and case.peak is not None
                and now - case.evidence_time >= EVIDENCE_PAUSE
            ):
                looked += 1
                case.evidence_due = False
                case.evidence_time = now
                try:
                    case.evidence = tuple(self.rule.evidence(snapshot, case.peak))
                except Exception as error:
                    self._wording_failure = _described(error)
        return looked

    def _word(self, case: Case) -> None:
        """Put the newest reading into words.

        A rule may know more about this reading than is in it, and only now: so the words for the
        peak are kept from then, and those for the last reading while there is none.
        """
        reading = case.reading
        level, _ = level_of(self._levels, case.condition.severity)
        try:
            case.message = self.rule.message(reading, 0.0 if isinstance(level, Absent) else level)
            case.hint = self.rule.hint(reading)
        except Exception as error:
            self._wording_failure = _described(error)
            case.message = case.message or self.rule.title
        if case.peak is reading:
            case.peak_message = case.message

    def _read(self, snapshot: Snapshot, seen: set[str]) -> None:
        cases, smoothing = self._cases, self._smoothing
        least, lowest, sign = self.rule.least, self._levels.lowest, self._levels.sign
        seconds = 0.0 if smoothing is None else self.rule.smoothing
        if smoothing is not None:
            interval = self._supply.interval
            smoothing.begin(self._moment.now, interval, 3 * interval + 1.0)
        add = seen.add
        for reading in self.rule.measure(snapshot):
            subject, value, n, _, window, _ = reading
            if subject in seen:
                continue
            add(subject)
            # Infinities and values that are no number compare false here.
            if (n is not None and n < least) or not -inf < value < inf:
                if subject in cases:
                    self._hush(subject, reading)
                continue
            if smoothing is not None and window < seconds:
                value = smoothing.add(subject, value)
            if subject in cases:
                self._step(subject, reading, value)
            elif sign * value > lowest:
                self._open(subject, reading, value)

    def _open(self, subject: str, reading: Reading, value: float) -> None:
        now, wall = self._moment
        flapping = self._flapping.get(subject)
        self._cases[subject] = Case(
            Condition(self._levels),
            fingerprint(self.rule.id, subject),
            reading,
            since=wall,
            changed=wall,
            told=now,
            seen=now,
            told_wall=wall,
            flapping=flapping is not None and flapping.active,
        )
        self._step(subject, reading, value)

    def _step(self, subject: str, reading: Reading, value: float) -> None:
        case = self._cases[subject]
        now, wall = self._moment
        interval = self._supply.interval
        seconds = now - case.told
        if seconds > 3 * interval + 1.0 or case.seen > case.told:
            # Time without a reading proves nothing, neither that it lasted nor that it was well.
            counted = min(seconds, interval)
            case.condition.skip(seconds - counted)
            seconds = counted
        case.told = case.seen = now
        case.told_wall = wall
        case.reason = ""
        tally = case.tally
        case.count(reading._replace(value=value), seconds, self._levels.sign)
        flapping = self._flapping.get(subject)
        keep = self._keep if flapping is None else flapping.keep(self._keep)
        hold = self._hold if self._is_settled(subject) else inf
        before = case.state if case.fired else PENDING
        after = case.condition.step(now, self._levels.sign * value, hold, keep)
        if after is None:
            if case.fired and case.left is None:
                case.left, case.left_wall = tally, wall
                self._changed(subject, case)
            self._end(subject, case)
            return
        if after is FIRING or after is RECOVERING:
            self._follow(subject, case, before, after, tally)
        case.move(after, wall)

    def _is_settled(self, subject: str) -> bool:
        """Whether enough of the window is known for the first verdict."""
        smoothing = self._smoothing
        return (
            not self._settled
            or smoothing is None
            or (smoothing.covered(subject) == 0 or smoothing.covered(subject) >= self._settled)
        )

    def _follow(
        self, subject: str, case: Case, before: AlertState, after: AlertState, tally: Tally
    ) -> None:
        """Note that it fires or recovers; `tally` is that without the newest reading."""
        case.fired = True
        if case.condition.severity is Severity.CRITICAL:
            case.highest = Severity.CRITICAL
        if after is FIRING:
            if before is PENDING or case.left is not None:
                self._changed(subject, case)
            case.left = None
        elif case.left is None:
            case.left = tally
            case.left_wall = self._moment.wall
            self._changed(subject, case)

    def _changed(self, subject: str, case: Case) -> None:
        flapping = self._flapping.setdefault(subject, Flapping())
        flapping.change(self._moment.now)
        case.flapping = flapping.active

    def _hush(self, subject: str, reading: Reading) -> None:
        """Take a reading that says nothing: what fires stays, what is pending does not advance."""
        case = self._cases[subject]
        case.seen = now = self._moment.now
        quiet = now - case.told
        if not case.fired:
            if quiet > max(self._hold, self._supply.patience):
                self._end(subject, case)
            return
        if quiet > LONGEST_SILENCE:
            self._end(subject, case)
        elif quiet > max(self._keep, self._supply.patience):
            few = reading.n is not None and reading.n < self.rule.least
            case.reason = (
                f"fewer than {self.rule.least} calls say nothing" if few else "no number was read"
            )
            case.move(NODATA, self._moment.wall)

    def _miss(self, seen: set[str]) -> None:
        """Judge the subjects that had no reading."""
        now, wall = self._moment
        lost, _, patience, partly = self._supply
        for subject in [name for name in self._cases if name not in seen]:
            case = self._cases[subject]
            if not lost:
                if now - case.seen >= patience:
                    self._end(subject, case)
                continue
            if partly and now - case.told > LONGEST_SILENCE:
                self._end(subject, case)
                continue
            if case.fired:
                case.reason = lost
                case.move(NODATA, wall)
            elif now - case.told > max(self._hold, patience):
                self._end(subject, case)
                continue
            case.seen = now

    def _fail(self, error: Exception) -> None:
        self.failure = _described(error)
        for subject, case in list(self._cases.items()):
            if not case.fired:
                del self._cases[subject]
            else:
                case.reason = f"the rule fails with {self.failure}"
                case.move(NODATA, self._moment.wall)

    def _end(self, subject: str, case: Case) -> None:
        del self._cases[subject]
        if case.fired:
            self._ended(event_of(self.rule, case, ended=True))

    def _forget_changes(self) -> None:
        now = self._moment.now
        over = [
            subject
            for subject, flapping in self._flapping.items()
            if flapping.over(now, self._keep)
        ]
        for subject in over:
            del self._flapping[subject]
            case = self._cases.get(subject)
            if case is not None:
                case.flapping = False


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
