"""Two demos that are brought from scenario to scenario, and what their monitors raise meanwhile.

They run side by side, because what an alert compares with has to be learnt from half a minute of
ordinary business first. Durations are shortened by settings, levels are those of the catalogue but
for one: a window of 100 s takes a minute to show what happens now.

Run in a process of its own (see `early_courses`), which leaves an `Outcome` of each course.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
from demo_processes import wait_until_ready

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.rules.disks import disk_rules
from perftui.analysis.alerting.rules.resources import resource_rules
from perftui.config import Settings
from perftui.config.rule_settings import RuleSettings
from perftui.demo.stage import DemoStage
from perftui.monitor import Monitor
from perftui.snapshot import Alert, Severity, Snapshot

LEARNING = 50.0
"""Seconds of ordinary business after which there is something to compare with."""
LONGEST_HOLD, LONGEST_KEEP, LONGEST_SMOOTHING = 3.0, 2.0, 5.0
WARMING_UP = 6.0
"""Seconds that are not learnt from: caches are empty and imports come late."""
PATIENCE = 120.0
HIT_RATIO_LEVEL = 0.95

MACHINE = frozenset(rule.id for rule in (*resource_rules(), *disk_rules())) | {"R31b"}
"""Rules about the machine, which may be busy with other things than the demo."""


def shortened() -> dict[str, RuleSettings]:
    """Return overrides that make every rule quick."""
    rules = {
        rule.id: RuleSettings(
            hold=min(rule.hold, LONGEST_HOLD),
            keep=min(rule.keep, LONGEST_KEEP),
            smoothing=min(rule.smoothing, LONGEST_SMOOTHING),
        )
        for rule in catalogue()
    }
    rules["R24"] = msgspec.structs.replace(
        rules["R24"], warn=HIT_RATIO_LEVEL, warn_clear=HIT_RATIO_LEVEL
    )
    return rules


class Found(NamedTuple):
    """An alert that fired, with the snapshot it was in."""

    alert: Alert
    snapshot: Snapshot

    @property
    def causes(self) -> set[str]:
        """Return the rules of what may explain it."""
        return {one.rule for one in self.snapshot.alerts if one.fingerprint in self.alert.causes}


@dataclass
class Outcome:
    """What fired in a course: in ordinary business, and wanted of each scenario."""

    steady: set[str] = field(default_factory=set)
    found: dict[str, Found | None] = field(default_factory=dict)
    crowded: bool = False
    """Whether other programs left the demo too little of the processors."""


class Course:
    """A demo that is watched; nothing in it fails, the tests do."""

    def __init__(self, stage: DemoStage, monitor: Monitor) -> None:
        self.outcome = Outcome()
        self._stage = stage
        self._monitor = monitor
        self._version = -1

    def watch(self, seconds: float, wanted: Callable[[Found], bool]) -> Found | None:
        """Return the first alert that fires and is wanted, None when there is none in time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            snapshot = self._monitor.mailbox.wait(left, lambda new: new.version > self._version)
            if snapshot is None:
                break
            self._version = snapshot.version
            for alert in snapshot.firing:
                self.outcome.crowded |= alert.rule == "R12" and alert.severity is Severity.CRITICAL
                if wanted(Found(alert, snapshot)):
                    return Found(alert, snapshot)
        return None

    def rest(self, seconds: float) -> None:
        """Note everything about the demo that fires in ordinary business."""

        def note(found: Found) -> bool:
            alert = found.alert
            if alert.rule not in MACHINE:
                self.outcome.steady.add(f"{alert.rule} {alert.subject}: {alert.message}")
            return False

        self.watch(seconds, note)

    def play(self, scenario: str, wanted: Callable[[Found], bool]) -> None:
        """Bring a scenario about until it raises the alert that is wanted."""
        self._stage.set_scenario(scenario)
        self.outcome.found[scenario] = self.watch(PATIENCE, wanted)
        self._stage.set_scenario("steady")


def fires(rule: str, subject: str) -> Callable[[Found], bool]:
    return lambda found: (
        found.alert.rule == rule and found.alert.subject == subject and bool(found.alert.evidence)
    )


def is_explained_stampede(found: Found) -> bool:
    return found.alert.rule == "R03" and "R24" in found.causes


def first_course(course: Course) -> None:
    course.rest(LEARNING)
    course.play("slow-operation", fires("R03", "shop/checkout"))
    course.play("overloaded-server", fires("R27", "web/web-2"))
    course.play("redis-down", fires("R31", "redis"))


def second_course(course: Course) -> None:
    begin = time.monotonic()
    course.play("memory-leak", fires("R27", "web/web-1"))
    # The others go on as ever meanwhile, so that what is usual is learnt all the same.
    course.watch(begin + LEARNING - time.monotonic(), lambda found: False)
    course.play("cache-stampede", is_explained_stampede)


COURSES = {"first": first_course, "second": second_course}


def run(play: Callable[[Course], None], rules: dict[str, RuleSettings]) -> Outcome:
    """Play a course on a demo of its own."""
    with DemoStage() as stage:
        wait_until_ready(stage)
        time.sleep(WARMING_UP)
        settings = Settings(rules=rules)
        redis = msgspec.structs.replace(settings.redis, url=stage.redis_url)
        profile = msgspec.structs.replace(settings.profile, pid=stage.first_worker_pid())
        monitor = Monitor(msgspec.structs.replace(settings, redis=redis, profile=profile))
        monitor.start()
        try:
            course = Course(stage, monitor)
            play(course)
            return course.outcome
        finally:
            monitor.stop()


def leave(name: str, directory: Path) -> None:
    """Run a course and leave its outcome, or the traceback of what went wrong in its place."""
    result: Outcome | str
    try:
        result = run(COURSES[name], shortened())
    except BaseException:  # Whatever it was, the test that waits has to say so.
        result = traceback.format_exc()
    unfinished = directory / f"{name}.unfinished"
    unfinished.write_bytes(pickle.dumps(result))
    unfinished.rename(directory / name)


def main() -> None:
    """Run all courses and leave their outcomes in the directory of the first argument.

    Ends with its standard input: who has started it may have been killed.
    """

    def end_with_the_session() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=end_with_the_session, daemon=True).start()
    directory = Path(sys.argv[1])
    with ThreadPoolExecutor(len(COURSES)) as pool:
        for name in COURSES:
            pool.submit(leave, name, directory)
