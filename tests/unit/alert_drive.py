"""Drives an alert engine with readings and a clock that the test sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.silences import SilenceBook
from perftui.snapshot import Alert, AlertEvent, AlertState, Snapshot, SourceStatus, State

WALL = 1_700_000_000.0


def status(name: str = "host", state: State = State.OK, reason: str = "") -> SourceStatus:
    return SourceStatus(name, state, reason, "", 0.4, 0.002, 1.0, 0, 10)


class Values:
    """What a rule measures; the test changes `readings`."""

    def __init__(self, *readings: Reading) -> None:
        self.readings: Sequence[Reading] = readings
        self.error: Exception | None = None

    def __call__(self, snapshot: Snapshot) -> Iterable[Reading]:
        yield from self.readings
        if self.error is not None:
            raise self.error

    def set(self, value: float, n: int | None = None, subject: str = "s", group: str = "") -> None:
        self.readings = (Reading(subject, value, n, group=group),)


def made_rule(values: Values, rule_id: str = "R", **changes: Any) -> Rule:
    """Return a rule that warns above 80 until 75, critical above 95 until 85."""
    given: dict[str, Any] = {
        "id": rule_id,
        "name": rule_id.lower(),
        "title": f"Title of {rule_id}",
        "kind": Kind.UTILISATION,
        "unit": "percent",
        "levels": Levels(80.0, 75.0, 95.0, 85.0),
        "measure": values,
        "message": lambda reading, level: f"at {reading.value:.1f}, above {level:g}",
        "hint": lambda reading: "look",
        "sources": frozenset({"host"}),
        "pane": "resources",
        "hold": 10.0,
        "keep": 20.0,
    }
    return Rule(**{**given, **changes})


class Drive:
    """An engine and its clock; every tick takes one second unless told otherwise."""

    def __init__(self, *rules: Rule, book: SilenceBook | None = None, **options: bool) -> None:
        self.now = 1000.0
        self.alerts: tuple[Alert, ...] = ()
        self.events: tuple[AlertEvent, ...] = ()
        self.base = Snapshot(1, 0.0, 0.0, sources=(status(),))
        self.engine = AlertEngine(rules, book, wall=lambda: self.wall, **options)

    @property
    def wall(self) -> float:
        return WALL + self.now

    def tick(self, seconds: float = 1.0) -> tuple[Alert, ...]:
        self.now += seconds
        snapshot = msgspec.structs.replace(self.base, time=self.wall, monotonic=self.now)
        self.alerts, self.events = self.engine.update(snapshot)
        return self.alerts

    def run(self, seconds: int) -> tuple[Alert, ...]:
        for _ in range(seconds):
            self.tick()
        return self.alerts

    def lose(self, reason: str = "it broke", state: State = State.UNAVAILABLE) -> None:
        self.base = msgspec.structs.replace(self.base, sources=(status("host", state, reason),))

    def restore(self) -> None:
        self.base = msgspec.structs.replace(self.base, sources=(status(),))

    @property
    def states(self) -> list[AlertState]:
        return [alert.state for alert in self.alerts]
