"""Every value of every rule of the catalogue can be set, and the engine goes by what is set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.configured import configured_rules
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Levels, Reading, Rule
from perftui.analysis.alerting.rule_errors import RuleError
from perftui.config import Alerts, RuleSettings, Settings
from perftui.snapshot import AlertState, Severity, Snapshot

IDS = [rule.id for rule in catalogue()]
LEVELLED = [rule.id for rule in catalogue() if rule.levels.warn is not None]
CRITICAL = [rule.id for rule in catalogue() if rule.levels.crit is not None]


def usual(rule_id: str) -> Rule:
    return next(rule for rule in catalogue() if rule.id == rule_id)


def changed(rule_id: str, **values: Any) -> Rule:
    alerts = values.pop("alerts", Alerts())
    table = RuleSettings(**{"enabled": True, **values})
    settings = Settings(rules={rule_id: table}, alerts=alerts)
    return next(rule for rule in configured_rules(settings) if rule.id == rule_id)


def worse(levels: Levels, level: float, part: float) -> float:
    """Return a level that is a part of its distance from zero, at least 1, worse."""
    distance = part * (abs(level) or 1.0)
    return level + distance if levels.above else level - distance


def states(rule: Rule, *values: float, step: float = 1.0) -> list[tuple[AlertState, Severity]]:
    """Return what the engine makes of values of one subject, one every `step` seconds, newest."""
    source = iter(values)
    probe = replace(
        rule,
        measure=lambda _: [Reading("a/b", next(source), n=10**9, baseline=1.0)],
        message=lambda reading, level: "probe",
        hint=lambda reading: "probe",
        evidence=lambda snapshot, reading: (),
        sources=frozenset(),
        inhibited_by=frozenset(),
    )
    engine = AlertEngine([probe])
    found: tuple[AlertState, Severity] | None = None
    for tick in range(len(values)):
        seconds = 100.0 + tick * step
        alerts, _ = engine.update(Snapshot(tick + 1, 1e9 + seconds, seconds))
        found = (alerts[0].state, alerts[0].severity) if alerts else None
    return [] if found is None else [found]


AT_ONCE = {"hold": 0, "keep": 0, "smoothing": 0}


@pytest.mark.parametrize("rule_id", LEVELLED)
def test_the_level_of_a_warning_and_where_it_ends(rule_id: str) -> None:
    base = usual(rule_id).levels
    assert base.warn is not None
    enter = worse(base, base.warn, 0.05)
    clear = worse(base, base.warn, 0.02)
    far = worse(base, base.crit or base.warn, 5.0)
    rule = changed(rule_id, warn=enter, warn_clear=clear, crit=far, crit_clear=far, **AT_ONCE)
    assert rule.levels == replace(base, warn=enter, warn_clear=clear, crit=far, crit_clear=far)
    below, between, beyond = (worse(base, base.warn, part) for part in (0.01, 0.03, 0.07))
    assert states(rule, between) == []
    (found,) = states(rule, beyond)
    assert found[0] is AlertState.FIRING
    assert found[1] is not Severity.CRITICAL
    assert states(rule, beyond, between)[0][0] is AlertState.FIRING
    assert not any(
        state is AlertState.FIRING for state, _ in states(rule, beyond, below, below, below)
    )


@pytest.mark.parametrize("rule_id", CRITICAL)
def test_the_level_of_a_critical_alert(rule_id: str) -> None:
    base = usual(rule_id).levels
    assert base.crit is not None
    enter = worse(base, base.crit, 0.5)
    clear = worse(base, base.crit, 0.4)
    rule = changed(rule_id, crit=enter, crit_clear=clear, **AT_ONCE)
    assert (rule.levels.crit, rule.levels.crit_clear) == (enter, clear)
    assert states(rule, worse(base, base.crit, 0.6)) == [(AlertState.FIRING, Severity.CRITICAL)]
    assert (AlertState.FIRING, Severity.CRITICAL) not in states(rule, worse(base, base.crit, 0.45))


@pytest.mark.parametrize("rule_id", IDS)
def test_a_clear_level_beyond_its_level_is_refused_by_name(rule_id: str) -> None:
    base = usual(rule_id).levels
    for key, enter in (("warn", base.warn), ("crit", base.crit)):
        if enter is None:
            continue
        with pytest.raises(RuleError) as raised:
            changed(rule_id, **{f"{key}_clear": worse(base, enter, 0.1)})
        assert str(raised.value).startswith(f"rules.{rule_id}.{key}_clear: the clear level (")
    if base.warn is not None and base.crit is not None:
        with pytest.raises(RuleError, match=rf"^rules\.{rule_id}\.warn: crit .* warn "):
            changed(rule_id, warn=worse(base, base.crit, 0.1))


@pytest.mark.parametrize("rule_id", IDS)
def test_durations_windows_calls_and_switches(rule_id: str) -> None:
    rule = changed(rule_id, hold="7min", keep="11min", smoothing="13s", min_n=4321)
    assert (rule.hold, rule.keep, rule.smoothing, rule.least) == (420.0, 660.0, 13.0, 4321)
    assert rule.enabled
    assert not changed(rule_id, enabled=False).enabled
    name = usual(rule_id).name
    for alerts in (Alerts(disabled=(rule_id,)), Alerts(disabled=(name,)), Alerts(enabled=False)):
        assert not changed(rule_id, alerts=alerts).enabled
    for key, option in (("hold", "for"), ("keep", "keep"), ("smoothing", "smoothing")):
        for wrong in (-1, "8d", "5MB", float("nan"), float("inf")):
            with pytest.raises(RuleError, match=rf"^rules\.{rule_id}\.{option}: "):
                changed(rule_id, **{key: wrong})


@pytest.mark.parametrize("rule_id", IDS)
def test_the_engine_waits_as_long_as_is_set(rule_id: str) -> None:
    base = usual(rule_id).levels
    level = base.warn if base.warn is not None else base.crit
    assert level is not None
    bad = worse(base, base.crit if base.crit is not None else level, 1.0)
    rule = changed(rule_id, hold=50, keep=30, smoothing=0)
    assert states(rule, *[bad] * 5, step=10)[0][0] is AlertState.PENDING
    assert states(rule, *[bad] * 7, step=10)[0][0] is AlertState.FIRING


@pytest.mark.parametrize("severity", ["warning", "critical"])
@pytest.mark.parametrize("rule_id", IDS)
def test_one_severity_from_the_first_level_on(rule_id: str, severity: str) -> None:
    base = usual(rule_id).levels
    first = base.warn if base.warn is not None else base.crit
    assert first is not None
    for part in (0.01, 4.0):
        rule = changed(rule_id, severity=severity, **AT_ONCE)
        found = states(rule, worse(base, first, part))
        assert found == [(AlertState.FIRING, Severity(severity))]
