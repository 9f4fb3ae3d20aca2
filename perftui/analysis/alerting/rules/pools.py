"""Rules for pools of servers."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules.pool_capacity import Exhausted, Minimum, Shortage
from perftui.analysis.alerting.rules.pool_facts import (
    PANE,
    SOURCES,
    eligible,
    pool_servers,
    pool_subject,
    why_not_well,
)
from perftui.quantities import YES_NO
from perftui.snapshot import Absent, Snapshot, State

LONGEST_SILENCE = 1e6
SPAN = 600.0
"""Seconds in which changes of a server's state and picks are counted."""
CHANGES = 5
PICKS = 1000
TOTAL = 1000.0
"""Times the usual that stand for one server getting everything."""
MOST_SERVERS = 10_000


def _told(snapshot: Snapshot) -> bool:
    """Return whether anybody tells of pools."""
    return not (isinstance(snapshot.pools, Absent) and isinstance(snapshot.haproxy, Absent))


def _all_told(snapshot: Snapshot) -> bool:
    """Return whether all tell of their pools who are there to do it."""
    return not any(
        isinstance(pools, Absent) and pools.state is not State.NOT_COLLECTED
        for pools in (snapshot.pools, snapshot.haproxy)
    )


def _overload(snapshot: Snapshot) -> Iterator[Reading]:
    for pool, server in pool_servers(snapshot):
        yield Reading(f"{pool}/{server.id}", float(server.overloaded), group=pool)


def _silence(snapshot: Snapshot) -> Iterator[Reading]:
    for pool, server in pool_servers(snapshot):
        silent = server.state in ("stale", "down")
        value = min(server.last_seen, LONGEST_SILENCE) if silent else 0.0
        yield Reading(f"{pool}/{server.id}", value, group=pool)


def _silent_for(reading: Reading, level: float) -> str:
    if reading.value >= LONGEST_SILENCE:
        return "has never sent a heartbeat"
    if not reading.value:
        return "sends heartbeats again"
    return f"no heartbeat for {reading.value:.0f} s, limit {level:g} s"


class Overload:
    """R27: servers above a threshold of their pool, with the pool's own words for it."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R27",
            name="server_overloaded",
            title="Server overloaded",
            kind=Kind.UTILISATION,
            unit=YES_NO,
            levels=Levels(warn=0.5, warn_clear=0.5),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: (
                "6 Servers shows its load; choose its process in 8 Processes, p profiles it"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=10.0,
            keep=30.0,
            inhibited_by=frozenset({"R26"}),
            evidence=why_not_well,
        )

    def message(self, reading: Reading, level: float) -> str:
        was = "" if reading.value > level else "is no more, but was "
        reason = self._reasons.get(reading.subject, "")
        return f"{was}above a threshold of its pool{reason and ': '}{reason}"

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        self._reasons.update(
            (f"{pool}/{server.id}", server.reason)
            for pool, server in pool_servers(snapshot)
            if server.overloaded
        )
        if len(self._reasons) > MOST_SERVERS:
            self._reasons.clear()
        return _overload(snapshot)


class Flapping:
    """R28: servers that enter and leave the eligible ones again and again."""

    def __init__(self) -> None:
        self._before: dict[str, bool] = {}
        self._changes: dict[str, deque[float]] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R28",
            name="server_flapping",
            title="Server comes and goes",
            kind=Kind.ERROR,
            unit="count",
            levels=Levels(warn=CHANGES - 0.5, warn_clear=2.5),
            measure=self.measure,
            message=lambda reading, level: (
                f"entered or left the eligible servers {reading.value:.0f} times in 10 min"
            ),
            hint=lambda reading: (
                "6 Servers shows what it exceeds: too tight a threshold, or a load that swings"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=0.0,
            keep=60.0,
            evidence=why_not_well,
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        now = snapshot.monotonic
        # While nobody tells of the pools, what happened before has not been undone.
        if not _told(snapshot):
            return
        seen = {}
        for pool, server in pool_servers(snapshot):
            subject = f"{pool}/{server.id}"
            fit = seen[subject] = eligible(server)
            changes = self._changes.get(subject)
            if self._before.get(subject, fit) is not fit:
                changes = self._changes.setdefault(subject, deque(maxlen=100))
                changes.append(now)
            while changes and now - changes[0] > SPAN:
                changes.popleft()
            yield Reading(subject, float(len(changes or ())), window=SPAN, group=pool)
        if _all_told(snapshot):
            self._before = seen
            self._changes = {s: times for s, times in self._changes.items() if times and s in seen}
        else:
            self._before.update(seen)


class Imbalance:
    """R28b: one server gets far more requests than the others, although all weigh the same.

    Compared with the mean of all; of two servers with the other one, since none of them can get
    more than twice the mean.
    """

    def __init__(self) -> None:
        self._marks: dict[str, deque[tuple[float, dict[str, int]]]] = {}
        self._grown: dict[str, dict[str, int]] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R28b",
            name="pool_imbalance",
            title="Uneven load",
            kind=Kind.ERROR,
            unit="x",
            levels=Levels(2.0, 1.7),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: "6 Servers shows who gets how many: look for sticky connections",
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=60.0,
            least=PICKS,
            evidence=self.evidence,
        )

    def message(self, reading: Reading, level: float) -> str:
        grown = self._grown.get(reading.subject, {})
        most = max(grown, key=grown.__getitem__, default="one server")
        than = "the other server" if len(grown) == 2 else "the mean"
        return (
            f"{most} gets {reading.value:.1f} x the requests of {than}, limit {level:g} x "
            f"(n={reading.n or 0:,})"
        )

    def evidence(self, snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
        grown = self._grown.get(reading.subject, {})
        ranked = heapq.nlargest(5, grown.items(), key=lambda pair: pair[1])
        return tuple(
            f"{server}: {count:,} requests in {reading.window / 60:.0f} min"
            for server, count in ranked
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        now = snapshot.monotonic
        if not _told(snapshot):
            return
        pools = {pool_subject(pool): pool for pool in snapshot.all_pools}
        if _all_told(snapshot):
            self._marks = {s: marks for s, marks in self._marks.items() if s in pools}
        for subject, pool in pools.items():
            fit = [server for server in pool.servers if eligible(server)]
            picks = {s.id: s.picks for s in fit if not isinstance(s.picks, Absent)}
            marks = self._marks.setdefault(subject, deque(maxlen=int(SPAN / 10) + 1))
            # Whoever came, left or was counted anew would look preferred or neglected.
            if marks and (
                marks[-1][1].keys() != picks.keys()
                or any(picks[server] < count for server, count in marks[-1][1].items())
            ):
                marks.clear()
            if not marks or now - marks[-1][0] >= 10:
                marks.append((now, picks))
            weights = {server.weight for server in fit}
            if len(picks) < 2 or len(picks) < len(fit) or len(weights) > 1:
                continue
            grown = {server: picks[server] - count for server, count in marks[0][1].items()}
            self._grown[subject] = grown
            total, most = sum(grown.values()), max(grown.values())
            usual = total - most if len(grown) == 2 else total / len(grown)
            value = min(most / usual, TOTAL) if usual else (TOTAL if most else 1.0)
            yield Reading(subject, value, total, window=now - marks[0][0])


def pool_rules() -> tuple[Rule, ...]:
    """Return the rules for pools, with memories of their own."""
    return (
        Shortage().rule(),
        Minimum().rule(),
        Overload().rule(),
        Rule(
            id="R27b",
            name="server_silent",
            title="Server silent",
            kind=Kind.ERROR,
            unit="seconds",
            levels=Levels(3.0, 3.0, 30.0, 30.0),
            measure=_silence,
            message=_silent_for,
            hint=lambda reading: "6 Servers: is its process alive, and does it reach Redis?",
            sources=SOURCES,
            pane=PANE,
            hold=5.0,
            keep=30.0,
            evidence=why_not_well,
        ),
        Flapping().rule(),
        Imbalance().rule(),
        Exhausted().rule(),
    )
