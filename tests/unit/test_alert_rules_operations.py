"""Rules for operations: quiet on healthy services, however different, and sure of a slow one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest
from alert_scenes import Shop, readings, rule_of, scene, twenty

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Rule
from perftui.snapshot import Alert, AlertState, Service, Severity, Snapshot

STEP = 10.0


def operation_rules(*more: str) -> tuple[Rule, ...]:
    """Return the rules for operations alone, those that are off only if they are named."""
    wanted = {"R01", "R03", "R07", "R08"}
    return tuple(r for r in catalogue() if r.id in wanted and (r.enabled or r.id in more))


def run(shop: Shop, engine: AlertEngine, steps: int) -> Iterator[tuple[Alert, ...]]:
    """Yield the alerts that fire after each step."""
    for _ in range(steps):
        service = shop.go_on(STEP)
        alerts, _ = engine.update(scene(shop.seconds, services=(service,)))
        yield tuple(alert for alert in alerts if alert.state is AlertState.FIRING)


def snapshots(shop: Shop, steps: int) -> Iterator[Snapshot]:
    for _ in range(steps):
        service = shop.go_on(STEP)
        yield scene(shop.seconds, services=(service,))


def test_twenty_healthy_operations_raise_nothing_in_a_thousand_evaluations() -> None:
    chance = random.Random(4)
    shop = Shop(chance, twenty(chance), rate=3.0)
    engine = AlertEngine(operation_rules())

    assert [firing for firing in run(shop, engine, 1000) if firing] == []


@pytest.mark.parametrize("rate", [0.15, 5.0])
def test_one_that_becomes_five_times_slower_is_found_within_three_windows(rate: float) -> None:
    """Rare operations are judged by windows of five minutes, the others by those of one."""
    chance = random.Random(11)
    window = 300.0 if rate < 1 else 60.0
    found = 0
    trials = 100
    for _ in range(trials // 5):
        # Each is compared with its own past, so five of them are five trials.
        shop = Shop(chance, twenty(chance), rate)
        shop.medians = {f"{n}": 0.1 for n in range(5)} | {"peer": 0.02}
        engine = AlertEngine(operation_rules())
        before = list(run(shop, engine, int(max(600.0, 9 * window) / STEP)))
        assert not before[-1]
        for name in "01234":
            shop.medians[name] *= 5
        fired: set[str] = set()
        for firing in run(shop, engine, int(3 * window / STEP)):
            fired |= {alert.subject for alert in firing if alert.rule == "R03"}
        assert "shop/peer" not in fired
        found += len(fired)

    assert found >= 0.99 * trials


def test_the_alert_says_value_baseline_n_and_the_next_step_and_ends_with_the_trouble() -> None:
    shop = Shop(random.Random(2), {"checkout": 0.1, "list": 0.02})
    engine = AlertEngine(operation_rules())
    assert not [f for f in run(shop, engine, 60) if f]

    shop.medians["checkout"] = 0.3
    alert = list(run(shop, engine, 12))[-1][0]

    assert (alert.rule, alert.subject, alert.severity) == (
        "R03", "shop/checkout", Severity.WARNING,
    )  # fmt: skip
    assert isinstance(alert.value, float)
    assert alert.value == pytest.approx(3.0, rel=0.3)
    assert "x its usual" in alert.message
    assert "n=300" in alert.message
    assert "p profiles it" in alert.hint or "p;" in alert.hint
    assert any("of the time of shop" in line for line in alert.evidence)

    shop.medians["checkout"] = 0.1
    assert list(run(shop, engine, 24))[-1] == ()


def test_what_lasts_is_not_learnt_for_an_hour_and_then_is() -> None:
    shop = Shop(random.Random(3), {"checkout": 0.1})
    engine = AlertEngine(operation_rules())
    list(run(shop, engine, 60))
    shop.medians["checkout"] = 0.5

    course = [bool(firing) for firing in run(shop, engine, 420)]

    assert all(course[15:350])
    assert not course[-1]


def test_below_the_floor_nobody_waits() -> None:
    shop = Shop(random.Random(5), {"ping": 0.001})
    engine = AlertEngine(operation_rules())
    list(run(shop, engine, 60))
    shop.medians["ping"] = 0.008

    assert not [firing for firing in run(shop, engine, 30) if firing]


def test_too_few_calls_say_nothing() -> None:
    shop = Shop(random.Random(6), {"rare": 0.1}, rate=0.05)
    rule = rule_of(catalogue(), "R03")
    list(map(rule.measure, snapshots(shop, 200)))

    assert all(not readings(rule, snapshot) for snapshot in snapshots(shop, 20))


def test_peers_are_compared_only_by_those_who_ask_for_it() -> None:
    """It finds an operation of a healthy service slow for as long as it is called."""
    chance = random.Random(7)
    shop = Shop(chance, twenty(chance), rate=3.0)
    assert rule_of(catalogue(), "R01").enabled is False
    literal = switched_on(rule_of(catalogue(), "R01"))

    firing = list(run(shop, AlertEngine([literal]), 30))[-1]

    assert firing
    assert all(alert.severity is Severity.WARNING for alert in firing)
    assert all("relative to peers" in alert.message for alert in firing)


def switched_on(rule: Rule) -> Rule:
    """Return the rule switched on."""
    from dataclasses import replace

    return replace(rule, enabled=True)


def test_failing_calls_and_their_end() -> None:
    shop = Shop(random.Random(8), {"pay": 0.1}, rate=2.0)
    engine = AlertEngine(operation_rules())
    list(run(shop, engine, 30))
    shop.failing = 0.2

    firing = list(run(shop, engine, 20))[-1]

    assert [(alert.rule, alert.severity) for alert in firing] == [("R07", Severity.CRITICAL)]
    assert "% of the calls fail" in firing[0].message


def test_traffic_that_breaks_off() -> None:
    shop = Shop(random.Random(9), {"pay": 0.1, "list": 0.1}, rate=4.0)
    engine = AlertEngine(operation_rules())
    assert not [firing for firing in run(shop, engine, 60) if firing]
    shop.rate = 0.4

    firing = list(run(shop, engine, 15))[-1]

    assert [(alert.rule, alert.subject) for alert in firing] == [("R08", "shop")]
    assert firing[0].severity is Severity.CRITICAL
    assert "of the usual" in firing[0].message


def test_what_a_prometheus_server_watches_is_judged_there() -> None:
    shop = Shop(random.Random(10), {"pay": 0.1})
    shop.failing = 0.5
    services: list[Service] = []
    for _ in range(60):
        services = [msgspec.structs.replace(shop.go_on(STEP), origin="prometheus")]
    snapshot = scene(shop.seconds, services=tuple(services))

    assert all(not readings(rule, snapshot) for rule in operation_rules("R01"))
