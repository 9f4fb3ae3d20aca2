"""Rules for what HAProxy alone tells of a server: requests that wait, failed checks, errors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules.pool_facts import PANE, pool_servers, pool_subject
from perftui.snapshot import Absent, Snapshot

SOURCES = frozenset({"haproxy"})
SPAN = 600.0
"""Seconds in which failed checks are counted."""
SEES_IT = "6 Servers shows it: "


def _waiting(snapshot: Snapshot) -> Iterator[Reading]:
    """Give the requests that wait for a server, of each backend that tells of its queues."""
    for pool in snapshot.all_pools:
        queues = [s.queue for s in pool.servers if not isinstance(s.queue, Absent)]
        if queues:
            yield Reading(pool_subject(pool), float(sum(queues)))


def _errors(snapshot: Snapshot) -> Iterator[Reading]:
    for pool in snapshot.all_pools:
        if pool.origin != "haproxy":
            continue
        for server in pool.servers:
            if not isinstance(server.error_percent, Absent):
                subject = pool_subject(pool)
                yield Reading(f"{subject}/{server.id}", server.error_percent, group=subject)


class FailedChecks:
    """R29b: checks took a server out, counted over ten minutes."""

    def __init__(self) -> None:
        self._marks: dict[str, deque[tuple[float, int]]] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R29b",
            name="server_checks_failed",
            title="Checks take a server out",
            kind=Kind.ERROR,
            unit="count",
            levels=Levels(warn=0.5, warn_clear=0.5),
            measure=self.measure,
            message=lambda reading, level: (
                f"a check took it out {reading.value:.0f} times in 10 min"
            ),
            hint=lambda reading: SEES_IT + "the last check and its answer are in the details",
            sources=SOURCES,
            pane=PANE,
            keep=60.0,
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        if isinstance(snapshot.haproxy, Absent):
            return
        now = snapshot.monotonic
        seen: dict[str, deque[tuple[float, int]]] = {}
        for pool, server in pool_servers(snapshot):
            if isinstance(server.checks_down, Absent):
                continue
            subject = f"{pool}/{server.id}"
            marks = seen[subject] = self._marks.get(subject) or deque()
            # Counters begin anew with each start of HAProxy.
            if marks and server.checks_down < marks[-1][1]:
                marks.clear()
            while len(marks) > 1 and now - marks[1][0] >= SPAN:
                marks.popleft()
            # What the count was before it grew is what the next minutes are compared with.
            if not marks or now - marks[-1][0] >= SPAN / 60 or server.checks_down > marks[-1][1]:
                marks.append((now, server.checks_down))
            grown = server.checks_down - marks[0][1]
            yield Reading(subject, float(grown), window=SPAN, group=pool)
        self._marks = seen


def proxy_rules() -> tuple[Rule, ...]:
    """Return the rules for HAProxy, with memories of their own."""
    return (
        Rule(
            id="R29",
            name="requests_queued",
            title="Requests wait for a server",
            kind=Kind.SATURATION,
            unit="count",
            levels=Levels(warn=0.5, warn_clear=0.5),
            measure=_waiting,
            message=lambda reading, level: f"{reading.value:,.0f} requests wait for a free server",
            hint=lambda reading: (
                SEES_IT + "bring servers back, raise maxconn, or make requests cheaper"
            ),
            sources=SOURCES,
            pane=PANE,
            hold=30.0,
            keep=60.0,
        ),
        FailedChecks().rule(),
        Rule(
            id="R29c",
            name="proxied_errors",
            title="Server answers with errors",
            kind=Kind.ERROR,
            unit="percent",
            levels=Levels(5.0, 2.5, 20.0, 10.0),
            measure=_errors,
            message=lambda reading, level: (
                f"{reading.value:.1f} % of its answers are errors, limit {level:g} %"
            ),
            hint=lambda reading: SEES_IT + "d drains the server, its log tells why",
            sources=SOURCES,
            pane=PANE,
            hold=30.0,
            keep=60.0,
        ),
    )
