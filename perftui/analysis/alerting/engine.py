"""Rules x subjects x time: which alerts there are, how they stand, and how long they lasted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import uuid4

import msgspec

from perftui.analysis.alerting.attachments import Attachments
from perftui.analysis.alerting.case import Moment
from perftui.analysis.alerting.events import EventLog, Lasting
from perftui.analysis.alerting.relations import explain, inhibit, one_of_each_pair
from perftui.analysis.alerting.remembered_server import RememberedServer
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.silences import Silence, SilenceBook
from perftui.analysis.alerting.supply import Supplies
from perftui.analysis.alerting.watch import RuleWatch
from perftui.quantities import YES_NO
from perftui.snapshot import Alert, AlertEvent, AlertState, Severity, Snapshot

MOST_EVIDENCE = 20
"""Alerts whose evidence is looked for in one tick; the others wait for the next ones."""
RULE_FAILED = "rule_failed"
BEATS = 3
"""Evaluations whose distances tell what is usual: between two there may be one out of turn."""


class AlertEngine:
    """Evaluates rules tick by tick.

    Values are smoothed first, then compared with hysteresis, then have to last. Durations are of
    `snapshot.monotonic`, the times people see of `snapshot.time`. An interval begins when the level
    was passed, and ends when it was left, not when either had lasted long enough.

    `immediate` is for one snapshot alone: levels are judged at once, with no hold and no smoothing
    beyond what the sources have done. `update` belongs to one thread; the other methods may be
    called from any and count from the next update on.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        silences: SilenceBook | None = None,
        *,
        immediate: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.rules = tuple(rules)
        self.silences = SilenceBook() if silences is None else silences
        self._wall = wall
        self._log = EventLog()
        self._watches = [
            RuleWatch(rule, self._log.end, immediate) for rule in self.rules if rule.enabled
        ]
        self._by_id = {rule.id: rule for rule in self.rules}
        self._own = RuleWatch(self._failing_rule(), self._log.end, immediate)
        self._server = RememberedServer(self._log.end)
        self._lock = threading.Lock()
        self._acknowledged: dict[str, str] = {}
        self._known: dict[str, Alert] = {}
        self._attachments = Attachments()
        self._last: float | None = None
        self._beats: deque[float] = deque(maxlen=BEATS)

    @property
    def sources(self) -> frozenset[str]:
        """The sources that rules which are switched on read."""
        return frozenset(name for watch in self._watches for name in watch.rule.sources)

    def update(self, snapshot: Snapshot) -> tuple[tuple[Alert, ...], tuple[AlertEvent, ...]]:
        """Return the alerts that are not ok, and the intervals in which alerts fired.

        Alerts come in the order they ask to be looked at: those that fire and are not quiet,
        critical, oldest first; information is last. Intervals: those that last, then the newest
        that ended.
        """
        moment = Moment(snapshot.monotonic, snapshot.time)
        supplies = Supplies(snapshot)
        beat = self._beat(moment.now)
        for watch in self._watches:
            watch.evaluate(supplies.trusted, moment, supplies.of(watch.rule).at_least(beat))
        self._own.evaluate(snapshot, moment, supplies.of(self._own.rule).at_least(beat))
        watches = [*self._watches, self._own]
        self._look_for_evidence(watches, snapshot)
        found = [alert for watch in watches for alert in watch.alerts()]
        found += self._server.update(snapshot, moment)
        found = one_of_each_pair(inhibit(found, self._by_id))
        alerts = self._quieted(explain(found, snapshot), moment.wall)
        alerts.sort(key=_order)
        lasting = [interval for watch in watches for interval in watch.lasting()]
        lasting += [Lasting(event.begin, partial(_told, event)) for event in self._server.lasting()]
        return self._attachments.with_lines(tuple(alerts), self._log.with_lasting(lasting))

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with its alerts and their intervals, see update."""
        alerts, events = self.update(snapshot)
        return msgspec.structs.replace(snapshot, alerts=alerts, alert_events=events)

    def acknowledge(self, fingerprint: str, by: str) -> bool:
        """Note who looks after an alert, until it ends; False when there is no such alert."""
        with self._lock:
            if fingerprint not in self._known:
                return False
            self._acknowledged[fingerprint] = by or "somebody"
            return True

    def unacknowledge(self, fingerprint: str) -> bool:
        """Take an acknowledgement back; False when there is none."""
        with self._lock:
            return self._acknowledged.pop(fingerprint, None) is not None

    def attach(self, fingerprint: str, lines: tuple[str, ...], since: float | None = None) -> bool:
        """Add lines to the evidence of an alert and of its interval, before what is there.

        `since` names an interval of it that may have ended meanwhile, else it is the one that
        lasts; False when none does.
        """
        if since is None:
            with self._lock:
                alert = self._known.get(fingerprint)
            if alert is None:
                return False
            since = alert.since
        self._attachments.add(fingerprint, since, lines)
        return True

    def silence(
        self,
        seconds: float,
        by: str,
        comment: str,
        *,
        fingerprint: str = "",
        rule: str = "*",
        subject: str = "*",
    ) -> Silence:
        """Silence one alert, or all whose rule and subject match; see Silence.

        Raises ValueError when the seconds are not more than zero.
        """
        if not 0 < seconds < float("inf"):
            raise ValueError(f"a silence must last longer than 0 s and not for ever: {seconds:g} s")
        now = self._wall()
        silence = Silence(
            id=uuid4().hex[:12],
            until=now + seconds,
            rule=rule,
            subject=subject,
            fingerprint=fingerprint,
            by=by,
            comment=comment,
            created=now,
        )
        self.silences.add(silence)
        return silence

    def unsilence(self, identity: str) -> bool:
        """End a silence at once; False when there is none with that id."""
        return self.silences.remove(identity)

    def unsilence_alert(self, fingerprint: str) -> bool:
        """End all silences that cover an alert, and with them those of others they cover."""
        with self._lock:
            alert = self._known.get(fingerprint)
        rule, subject = ("", "") if alert is None else (alert.rule, alert.subject)
        covering = [
            silence
            for silence in self.silences.active(self._wall())
            if silence.matches(rule, subject, fingerprint)
        ]
        for silence in covering:
            self.silences.remove(silence.id)
        return bool(covering)

    def _beat(self, now: float) -> float:
        """Return seconds between two evaluations, if that is usual and not a pause."""
        last, self._last = self._last, now
        seconds = 0.0 if last is None else now - last
        beat = min(seconds, max(self._beats, default=0.0))
        self._beats.append(seconds)
        return beat

    def _look_for_evidence(self, watches: Sequence[RuleWatch], snapshot: Snapshot) -> None:
        """Look for evidence where it was missing longest, of the first alerts of each rule first.

        One rule with thousands of alerts must not keep the others without.
        """
        waiting = [
            (wanting, watch) for watch in watches for wanting in watch.wanting(MOST_EVIDENCE)
        ]
        waiting.sort(key=lambda each: each[0][:2])
        for wanting, watch in waiting[:MOST_EVIDENCE]:
            watch.look(snapshot, wanting.case)

    def _quieted(self, alerts: Sequence[Alert], wall: float) -> list[Alert]:
        """Return the alerts with who acknowledged and what silences them."""
        silences = sorted(self.silences.active(wall), key=lambda silence: -silence.until)
        with self._lock:
            self._known = {alert.fingerprint: alert for alert in alerts}
            # An acknowledgement is of this interval, not of the next one.
            self._acknowledged = {
                name: by for name, by in self._acknowledged.items() if name in self._known
            }
            acknowledged = dict(self._acknowledged)
        if not silences and not acknowledged:
            return list(alerts)
        return [_quieted(alert, silences, acknowledged) for alert in alerts]

    def _failing_rule(self) -> Rule:
        def measure(snapshot: Snapshot) -> Iterable[Reading]:
            return [
                Reading(watch.rule.id, 1.0 if watch.failure else 0.0) for watch in self._watches
            ]

        def message(reading: Reading, level: float) -> str:
            failures = [w.failure for w in self._watches if w.rule.id == reading.subject]
            return f"rule {reading.subject} fails with {failures[0] or 'nothing any more'}"

        return Rule(
            id=RULE_FAILED,
            name=RULE_FAILED,
            title="Rule fails",
            kind=Kind.SELF,
            unit=YES_NO,
            levels=Levels(warn=0.5),
            measure=measure,
            message=message,
            hint=lambda reading: (
                "switch the rule off in [alerts], check it with perftui rules check; "
                "report it as a defect if it is not your own"
            ),
            sources=frozenset(),
            pane="alerts",
        )


def _told(event: AlertEvent) -> AlertEvent:
    return event


def _quieted(alert: Alert, silences: Sequence[Silence], acknowledged: dict[str, str]) -> Alert:
    by = acknowledged.get(alert.fingerprint, "")
    longest = next(
        (one for one in silences if one.matches(alert.rule, alert.subject, alert.fingerprint)), None
    )
    if longest is None:
        return msgspec.structs.replace(alert, acknowledged_by=by) if by else alert
    return msgspec.structs.replace(
        alert,
        acknowledged_by=by,
        silenced_until=longest.until,
        comment=longest.comment,
    )


def _order(alert: Alert) -> tuple[int, float, str, str]:
    # Hashing a member of an Enum costs more than all of these comparisons.
    state, severity = alert.state, alert.severity
    rank = 1
    if severity is Severity.CRITICAL:
        rank = 0
    elif severity is Severity.INFO:
        rank = 101
    if state is AlertState.NODATA:
        rank += 2
    elif state is AlertState.RECOVERING:
        rank += 4
    elif state is AlertState.PENDING:
        rank += 6
    if rank < 100 and (alert.silenced_until or alert.inhibited_by or alert.acknowledged_by):
        rank += 10
    return rank, alert.since, alert.rule, alert.subject
