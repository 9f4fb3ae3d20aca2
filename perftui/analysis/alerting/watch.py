"""One rule and all of its subjects, evaluated tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from heapq import nlargest, nsmallest
from math import inf
from operator import attrgetter, itemgetter
from typing import NamedTuple

from perftui.analysis.alerting.case import Case, Moment, alert_of, event_of, level_of
from perftui.analysis.alerting.condition import Condition, thresholds
from perftui.analysis.alerting.events import MOST_EVENTS, Lasting
from perftui.analysis.alerting.fingerprint import fingerprint
from perftui.analysis.alerting.flapping import Flapping
from perftui.analysis.alerting.rule import Reading, Rule
from perftui.analysis.alerting.smoothing import Smoothing
from perftui.snapshot import (
    Absent,
    Alert,
    AlertEvent,
    AlertState,
    Maybe,
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

FORGET_EVERY = 10.0
"""Seconds between two looks for changes that are so old that they no longer count."""

PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RECOVERING, NODATA = AlertState.RECOVERING, AlertState.NODATA


class Supply(NamedTuple):
    """How the sources of a rule do: why one gives nothing, and seconds between two readings.

    `lost` is empty when all are well, `partly` says that one is. Without a source that tells there
    is no patience. `silent` are subjects and groups of which nothing is heard although the sources
    are well, each with the reason.
    """

    lost: str = ""
    interval: float = 1.0
    patience: float = 0.0
    partly: bool = True
    silent: Mapping[str, str] = {}

    def at_least(self, interval: float) -> Supply:
        """Return the same for readings that are looked at no more often than that."""
        return self if interval <= self.interval else self._replace(interval=interval)


class Wanting(NamedTuple):
    """An alert that wants evidence: when it last got some, and its place among its like."""

    last: float
    place: int
    case: Case


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
        self._forget_at = -inf
        self._moment = Moment(0.0, 0.0)
        self._supply = Supply()

    def evaluate(self, snapshot: Snapshot, moment: Moment, supply: Supply) -> None:
        """Read all subjects; a rule that fails keeps its alerts as NODATA and says why."""
        self._pass_over(moment.now - self._moment.now - supply.interval, supply)
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
        if self._flapping and moment.now >= self._forget_at:
            self._forget_at = moment.now + FORGET_EVERY
            self._forget_changes()

    def alerts(self) -> Iterator[Alert]:
        """Yield an alert of each subject that is not ok."""
        rule, kind, now = self.rule, self.rule.kind.value, self._moment.now
        critical, first = (
            level_of(self._levels, severity) for severity in (Severity.CRITICAL, Severity.WARNING)
        )
        for case in self._cases.values():
            is_critical = case.condition.severity is Severity.CRITICAL
            enter, clear = critical if is_critical else first
            if case.told == now:
                self._word(case, enter)
            yield alert_of(rule, kind, enter, clear, case)

    def lasting(self) -> Iterator[Lasting]:
        """Yield the newest of the intervals that have not ended, as many as are kept."""
        fired = [case for case in self._cases.values() if case.fired]
        for case in nlargest(MOST_EVENTS, fired, key=attrgetter("since")):
            yield Lasting(case.since, partial(event_of, self.rule, case, ended=False))

    def wanting(self, most: int) -> list[Wanting]:
        """Return the alerts whose new peak wants evidence, those first that waited longest."""
        now = self._moment.now
        return nsmallest(
            most,
            [
                Wanting(case.evidence_time, place, case)
                for place, case in enumerate(self._cases.values())
                if case.evidence_due
                and case.state is FIRING
                and now - case.evidence_time >= EVIDENCE_PAUSE
            ],
            key=itemgetter(0, 1),
        )

    def look(self, snapshot: Snapshot, case: Case) -> None:
        """Look for the evidence of the peak of an alert."""
        case.evidence_due = False
        case.evidence_time = self._moment.now
        if case.peak is not None:
            try:
                case.evidence = tuple(self.rule.evidence(snapshot, case.peak))
            except Exception as error:
                self._wording_failure = _described(error)

    def _word(self, case: Case, level: Maybe[float]) -> None:
        """Put the newest reading into words.

        A rule may know more about this reading than is in it, and only now: so the words for the
        peak are kept from then, and those for the last reading while there is none.
        """
        reading = case.reading
        try:
            case.message = self.rule.message(reading, 0.0 if isinstance(level, Absent) else level)
            case.hint = self.rule.hint(reading)
        except Exception as error:
            self._wording_failure = _described(error)
            case.message = case.message or self.rule.title
        if case.peak_sample == case.samples:
            case.peak_message = case.message

    def _read(self, snapshot: Snapshot, seen: set[str]) -> None:
        cases, smoothing = self._cases, self._smoothing
        least, lowest, sign = self.rule.least, self._levels.lowest, self._levels.sign
        seconds = 0.0 if smoothing is None else self.rule.smoothing
        if smoothing is not None:
            interval = self._supply.interval
            smoothing.begin(self._moment.now, interval, 3 * interval + 1.0)
        add = seen.add
        # All of it before anything is judged: a rule that fails on its way has told nothing.
        for reading in list(self.rule.measure(snapshot)):
            subject, value, n, _, window, _, _, _ = reading
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
                if value != reading.value:
                    reading = reading._replace(value=value)
            case = cases.get(subject)
            if case is not None:
                self._step(case, reading)
            elif sign * value > lowest:
                self._open(reading)

    def _open(self, reading: Reading) -> None:
        now, wall = self._moment
        subject = reading.subject
        flapping = self._flapping.get(subject)
        case = self._cases[subject] = Case(
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
        self._step(case, reading)

    def _pass_over(self, seconds: float, supply: Supply) -> None:
        """Let seconds not count in which nobody evaluated, as while the monitor was stopped."""
        if seconds <= 2 * supply.interval + 1.0:
            return
        for case in self._cases.values():
            case.condition.skip(seconds)
            case.told += seconds
            case.seen += seconds

    def _step(self, case: Case, reading: Reading) -> None:
        """Take the smoothed reading of a subject that is not ok."""
        now, wall = self._moment
        subject = reading.subject
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
        sign = self._levels.sign
        flapping = self._flapping.get(subject)
        keep = self._keep if flapping is None else flapping.keep(self._keep)
        hold = inf if self._settled and not self._is_settled(subject) else self._hold
        after = case.condition.step(now, sign * reading.value, hold, keep)
        # The reading with which it begins to recover is no longer of the interval.
        if case.fired and case.left is None and after is not FIRING:
            case.left, case.left_wall = case.tally, wall
            self._changed(subject, case)
        if after is None:
            self._end(subject, case)
            return
        if after is FIRING and (case.left is not None or not case.fired):
            case.left = None
            self._changed(subject, case)
        case.count(reading, seconds, sign)
        if after is not PENDING:
            case.fired = True
            if case.condition.severity is Severity.CRITICAL:
                case.highest = Severity.CRITICAL
        case.move(after, wall)

    def _is_settled(self, subject: str) -> bool:
        """Whether enough of the window is known for the first verdict."""
        smoothing = self._smoothing
        covered = 0.0 if smoothing is None else smoothing.covered(subject)
        return covered == 0 or covered >= self._settled

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
        supply, patience = self._supply, self._supply.patience
        for subject in [name for name in self._cases if name not in seen]:
            case = self._cases[subject]
            lost = supply.lost or supply.silent.get(subject, "")
            lost = lost or supply.silent.get(case.reading.group, "")
            if not lost:
                if now - case.seen >= patience:
                    self._end(subject, case)
                continue
            if supply.partly and now - case.told > LONGEST_SILENCE:
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
