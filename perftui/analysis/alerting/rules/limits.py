"""Rules for what a control group does to those in it, and for processes that the kernel kills."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules import evidence
from perftui.analysis.alerting.rules.resources import (
    HOST,
    LIMIT,
    PANE,
    SOURCES,
    busy,
    limits,
    memory_limit,
)
from perftui.snapshot import Absent, Cgroup, Snapshot

OOM_SECONDS = 60.0
"""Seconds for which the death of a process counts as new."""
MINUTE = 60.0
PERIODS = 100
"""Periods of the scheduler, ten seconds of them, whose share of stops means something."""


class Throttling:
    """R14: the share of scheduler periods in which the CPU limit stopped the control group.

    Stops and periods of a minute are added up, since a mean of shares would count a second in
    which the group ran once as much as one in which it always ran.
    """

    def __init__(self) -> None:
        self._course: deque[tuple[float, int, float]] = deque()
        self._newest: Cgroup | None = None
        self._since: float | None = None
        self._idle = False

    def rule(self) -> Rule:
        return Rule(
            id="R14",
            name="cpu_throttling",
            title="CPU throttled",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(25.0, 15.0),
            measure=self.measure,
            message=self.message,
            hint=lambda reading: "raise the CPU limit (cpu.max), or run fewer threads below it",
            sources=frozenset({"cgroup"}),
            pane=PANE,
            smoothing=30.0,
            hold=60.0,
            keep=300.0,
            least=PERIODS,
            evidence=busy,
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        cgroup, now = limits(snapshot), snapshot.monotonic
        if cgroup is None or isinstance(cgroup.throttled_percent, Absent):
            return
        if isinstance(cgroup.periods, Absent):
            self._idle = False
            yield Reading(LIMIT, cgroup.throttled_percent)
            return
        course = self._course
        if self._since is None or (course and now - course[-1][0] > MINUTE):
            self._since = now
        # A snapshot may come twice with the same reading.
        if cgroup is not self._newest:
            self._newest = cgroup
            stops = cgroup.throttled_percent * cgroup.periods / 100
            course.append((now, cgroup.periods, stops))
        while course and now - course[0][0] >= MINUTE:
            course.popleft()
        periods = sum(count for _, count, _ in course)
        self._idle = periods < PERIODS and now - self._since >= MINUTE
        if self._idle:
            # Who hardly runs for a whole minute is not held up by the limit.
            yield Reading(LIMIT, 0.0, window=MINUTE)
        else:
            stopped = sum(stops for _, _, stops in course)
            share = 100 * stopped / periods if periods else 0.0
            yield Reading(LIMIT, share, periods, window=MINUTE)

    def message(self, reading: Reading, level: float) -> str:
        if self._idle:
            return "it hardly runs any more, so that the CPU limit does not stop it"
        words = (
            f"the CPU limit of the control group stopped it in {reading.value:.0f} % of the "
            f"periods, limit {level:g} %"
        )
        return f"{words}: slow, however idle the host is" if reading.value > level else words


class OomKills:
    """R16: processes the kernel has killed for want of memory within the last minute."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._kills: dict[str, deque[tuple[float, int]]] = {}

    def rule(self) -> Rule:
        return Rule(
            id="R16",
            name="oom_kill",
            title="Out of memory",
            kind=Kind.ERROR,
            unit="count",
            levels=Levels(crit=0.5, crit_clear=0.5),
            measure=self.measure,
            message=lambda reading, level: _killed(reading),
            hint=lambda reading: "dmesg -T | grep -i oom names it; 8 Processes shows the largest",
            sources=SOURCES,
            pane=PANE,
            keep=600.0,
            evidence=lambda snapshot, reading: evidence.top_by_memory(snapshot),
        )

    def measure(self, snapshot: Snapshot) -> Iterator[Reading]:
        cgroup, memory = limits(snapshot), snapshot.resources.memory
        # In a container the host's counter tells of the neighbours as well.
        if cgroup is not None and memory_limit(snapshot) is not None:
            subject, counted = LIMIT, cgroup.oom_kills
        elif isinstance(memory, Absent):
            return
        else:
            subject, counted = HOST, memory.oom_kills
        if isinstance(counted, Absent):
            return
        now = snapshot.monotonic
        kills = self._kills.setdefault(subject, deque(maxlen=1000))
        grown = counted - self._before.get(subject, counted)
        self._before[subject] = counted
        if grown > 0:
            kills.append((now, grown))
        while kills and now - kills[0][0] > OOM_SECONDS:
            kills.popleft()
        yield Reading(subject, float(sum(count for _, count in kills)), window=OOM_SECONDS)


def _killed(reading: Reading) -> str:
    where = "at the limit of the control group" if reading.subject == LIMIT else "on this host"
    count = round(reading.value)
    if not count:
        return f"the kernel killed no more processes for want of memory {where} in the last minute"
    processes = "1 process" if count == 1 else f"{count:,} processes"
    return f"the kernel killed {processes} for want of memory {where} in the last minute"


def limit_rules() -> tuple[Rule, ...]:
    """Return the rules for throttling and killed processes, with memories of their own."""
    return Throttling().rule(), OomKills().rule()
