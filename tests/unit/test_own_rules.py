"""Rules of the configuration: own ones, changes of the catalogue, and what is wrong with them."""

from __future__ import annotations

import msgspec
import pytest

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.configured import configured_rules, rule_problems
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.overrides import with_overrides
from perftui.analysis.alerting.own_rules import own_rules
from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rule_errors import RuleError
from perftui.config import Alerts, RuleSettings, Settings
from perftui.snapshot import (
    Cpu,
    HitRatio,
    RedisServer,
    Resources,
    Severity,
    Snapshot,
    SourceStatus,
    State,
)


def table(**values: object) -> RuleSettings:
    return RuleSettings(**values)  # type: ignore[arg-type]


def configured(alerts: Alerts | None = None, **tables: RuleSettings) -> Settings:
    return Settings(rules=tables, alerts=alerts or Alerts())


def own(**values: object) -> Rule:
    (rule,) = own_rules(configured(mine=table(**values)))
    return rule


def changed(name: str, **values: object) -> Rule:
    found = configured_rules(configured(**{name: table(**values)}))
    return next(rule for rule in found if name in (rule.id, rule.name))


def problems(alerts: Alerts | None = None, **tables: RuleSettings) -> list[str]:
    return [str(problem) for problem in rule_problems(configured(alerts, **tables))]


def snapshot(latency: float, seconds: float = 0.0, percent: float = 0.0) -> Snapshot:
    nothing = HitRatio(0.5, 0.5, 0.5)
    redis = RedisServer(
        "localhost:6379", "redis", "7", "master", 1.0, latency, 5, 0, 9, 9, None, "lru", nothing,
        1.0, 1.0, 1.0, 0.0, 0.0,
    )  # fmt: skip
    well = tuple(
        SourceStatus(name, State.OK, "", "", 0.0, 0.0, 1.0, 0, 9) for name in ("host", "redis")
    )
    cpu = Cpu(percent, (), 0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0))
    return Snapshot(
        1, 1e9 + seconds, 50.0 + seconds, redis=redis, sources=well, resources=Resources(cpu=cpu)
    )


def test_an_own_rule_is_a_rule_like_any_other() -> None:
    rule = own(expr="redis.latency > 10ms", hold="10s", keep=20, hint="look", title="Slow Redis")
    assert (rule.id, rule.name, rule.title, rule.unit) == ("mine", "mine", "Slow Redis", "seconds")
    assert (rule.hold, rule.keep, rule.smoothing, rule.least) == (10.0, 20.0, 0.0, 0)
    assert rule.levels == Levels(0.01, pytest.approx(0.009), above=True)
    assert (rule.sources, rule.pane, rule.kind) == ({"redis"}, "cache", Kind.UTILISATION)
    (reading,) = rule.measure(snapshot(0.05))
    assert reading == Reading("redis", 0.05)
    assert rule.message(reading, 0.01) == "redis.latency is 50.0 ms, limit 10.0 ms"
    assert rule.hint(reading) == "look"
    assert rule.evidence(snapshot(0.05), reading) == ("rule mine: redis.latency > 10ms",)


def test_an_own_rule_fires_and_ends_in_the_engine() -> None:
    engine = AlertEngine([own(expr="redis.latency > 10ms", hold=3, keep=2, severity="critical")])
    states = []
    for second, latency in enumerate([0.001, 0.05, 0.05, 0.05, 0.05, 0.001, 0.001, 0.001, 0.001]):
        alerts, _ = engine.update(snapshot(latency, second))
        states.append(alerts[0].state.value if alerts else "ok")
        assert all(alert.severity is Severity.CRITICAL for alert in alerts)
    assert states == [
        "ok", "pending", "pending", "pending", "firing", "recovering", "recovering", "ok", "ok"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"expr": "redis.keys > 100"}, Levels(100.0, 90.0)),
        ({"expr": "redis.keys > 0"}, Levels(0.0, 0.0)),
        ({"expr": "redis.keys < 100"}, Levels(100.0, pytest.approx(110.0), above=False)),
        ({"expr": "redis.keys < 100", "clear": 150}, Levels(100.0, 150.0, above=False)),
        (
            {"expr": "redis.hit_ratio.seconds_10 < 95%"},
            Levels(0.95, pytest.approx(0.975), above=False),
        ),
        ({"expr": "resources.cpu.percent > 80%", "clear": "60%"}, Levels(80.0, 60.0)),
        (
            {"expr": "redis.latency", "warn": "5ms", "crit": "20ms", "crit_clear": 0.01},
            Levels(0.005, pytest.approx(0.0045), 0.02, 0.01),
        ),
        (
            {"expr": "redis.keys", "warn": 10, "above": False, "severity": "critical"},
            Levels(None, None, 10.0, 11.0, above=False),
        ),
        ({"expr": "redis.keys > redis.clients"}, Levels(0.0, 0.0)),
        ({"expr": 'redis.role == "master"'}, Levels(0.5, 0.5)),
    ],
)
def test_levels_of_own_rules(values: dict[str, object], expected: Levels) -> None:
    assert own(**values).levels == expected


def test_messages_of_differences_and_conditions() -> None:
    rule = own(expr="redis.keys > 10 * redis.clients")
    said = rule.message(Reading("redis", 20.0, baseline=50.0), 0.0)
    assert said == "redis.keys is 70, limit 50"
    rule = own(expr='redis.role == "replica" or redis.keys < 5')
    assert rule.message(Reading("redis", 1.0), 0.5).startswith('redis.role == "replica" or')
    assert rule.message(Reading("redis", 1.0), 0.5).endswith("holds")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"expr": "redis.latncy > 1"}, "rules.mine.expr: unknown name redis.latncy; did you"),
        ({"expr": "redis.latency"}, "rules.mine.expr: it compares with nothing; add such as"),
        (
            {"expr": "redis.latency > 1", "warn": 3},
            "rules.mine.warn: the expression compares already; write the level in expr",
        ),
        (
            {"expr": "redis.latency > 10ms", "clear": "20ms"},
            "rules.mine.clear: the clear level (20.0 ms) is above the level (10.0 ms): the alert "
            "ends below it",
        ),
        (
            {"expr": "redis.latency < 10ms", "clear": "5ms"},
            "rules.mine.clear: the clear level (5.00 ms) is below the level (10.0 ms): the alert "
            "ends above it",
        ),
        (
            {"expr": 'redis.role == "x"', "clear": 1},
            "rules.mine.clear: a condition has no clear level",
        ),
        (
            {"expr": "redis.latency", "warn": "10MB"},
            'rules.mine.warn: "10MB" is in bytes; it must be in seconds, such as 0.5 or 500ms',
        ),
        (
            {"expr": "redis.latency", "warn": "fast"},
            "rules.mine.warn: 'fast' is not a number with a unit",
        ),
        (
            {"expr": "redis.latency", "warn": 3, "crit": 2},
            "rules.mine.crit: crit (2.00 s) is below warn (3.00 s)",
        ),
        (
            {"expr": "redis.latency > 1", "hold": "80%"},
            'rules.mine.for: "80%" is in percent; it must be in seconds',
        ),
        (
            {"expr": "redis.latency > 1", "keep": -1},
            "rules.mine.keep: is -1 s; it must be from 0 s to 7d",
        ),
        (
            {"expr": "redis.latency > 1", "min_n": 5},
            "rules.mine.min_n: only values of single operations tell of how many calls they are",
        ),
    ],
)
def test_what_is_wrong_with_an_own_rule(values: dict[str, object], expected: str) -> None:
    (problem,) = problems(mine=table(**values))
    assert problem.startswith(expected)
    with pytest.raises(RuleError) as caught:
        own(**values)
    assert str(caught.value) == problem


def test_an_expression_has_an_excerpt_with_a_caret() -> None:
    (problem,) = rule_problems(configured(mine=table(expr="redis.latncy > 1")))
    assert problem.excerpt == ("  redis.latncy > 1", "        ^")


def test_a_rule_of_the_catalogue_is_changed_by_id_or_name() -> None:
    usual = next(rule for rule in catalogue() if rule.id == "R10")
    assert usual.levels == Levels(80.0, 75.0, 95.0, 85.0)
    rule = changed("R10", warn="90%", hold="5min", keep=7, smoothing="2min", min_n=3)
    assert rule.levels == Levels(90.0, pytest.approx(84.375), 95.0, 85.0)
    assert (rule.hold, rule.keep, rule.smoothing, rule.least) == (300.0, 7.0, 120.0, 3)
    assert rule.name == usual.name
    assert changed(usual.name, crit=99, crit_clear=98).levels == Levels(80.0, 75.0, 99.0, 98.0)
    assert changed("R10", severity="warning").levels == Levels(80.0, 75.0)
    assert changed("R10", severity="critical").levels == Levels(None, None, 80.0, 75.0)
    assert changed("R17b", warn="2d").levels.warn == 48.0


def test_rules_are_switched_on_and_off() -> None:
    def enabled(settings: Settings) -> set[str]:
        return {rule.id for rule in configured_rules(settings) if rule.enabled}

    usual = enabled(configured())
    assert "R10" in usual
    assert "R01" not in usual
    assert enabled(configured(R10=table(enabled=False))) == usual - {"R10"}
    assert enabled(configured(R01=table(enabled=True))) == usual | {"R01"}
    name = next(rule.name for rule in catalogue() if rule.id == "R10")
    mine = table(expr="redis.keys > 1")
    assert enabled(configured(mine=mine)) == usual | {"mine"}
    assert enabled(configured(Alerts(disabled=(name, "mine")), mine=mine)) == usual - {"R10"}
    assert enabled(configured(Alerts(enabled=False), mine=mine)) == set()


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("R10", {"warn_clear": 85}, "rules.R10.warn_clear: the clear level (85.0 %) is above the"),
        ("R10", {"warn": 96}, "rules.R10.warn: crit (95.0 %) is below warn (96.0 %): critical"),
        ("R10", {"crit": 70}, "rules.R10.crit: crit (70.0 %) is below warn (80.0 %)"),
        ("R10", {"warn": "1s"}, 'rules.R10.warn: "1s" is in seconds; it must be in percent'),
        ("R10", {"title": "x"}, "rules.R10.title: title is for rules of your own, and R10 is one"),
        ("R10", {"clear": 3}, "rules.R10.clear: clear is for rules of your own, and R10 is one of "
         "the catalogue; write warn_clear or crit_clear"),
        ("R10", {"expr": "redis.keys > 1"}, "rules.R10: R10 is a rule of the catalogue; give your"),
        ("R1O", {"warn": 3}, "rules.R1O: unknown rule R1O; did you mean R10?"),
        ("hi_cpu", {"warn": 3}, "rules.hi_cpu: unknown rule hi_cpu; did you mean high_cpu?"),
        ("R16", {"warn_clear": 3}, "rules.R16.warn_clear: warn_clear needs warn, which has no"),
        ("R17b", {"warn_clear": 3}, "rules.R17b.warn_clear: the clear level (3 h) is below the"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_change(name: str, values: dict[str, object], expected: str) -> None:
    (problem,) = problems(**{name: table(**values)})
    assert problem.startswith(expected)
    with pytest.raises(RuleError) as caught:
        configured_rules(configured(**{name: table(**values)}))
    assert str(caught.value) == problem


def test_all_problems_are_told() -> None:
    found = problems(
        Alerts(disabled=("R99", "mine")),
        mine=table(expr="x > 1"),
        R10=table(warn=1, warn_clear=2),
        high_cpu=table(warn=3),
    )
    assert [text.split(":")[0] for text in found] == [
        "rules.mine.expr",
        "rules.R10.warn_clear",
        "rules.high_cpu",
        "alerts.disabled",
    ]
    assert "R10 is the same rule and has a table already" in found[2]


def test_rules_without_settings_are_as_they_were() -> None:
    rules = catalogue()
    assert with_overrides(rules, Settings()) == rules
    assert [rule.id for rule in configured_rules(Settings())] == [rule.id for rule in rules]


def test_every_rule_of_the_catalogue_can_be_set_to_its_own_values() -> None:
    for rule in catalogue():
        given = {
            "warn": rule.levels.warn,
            "warn_clear": rule.levels.warn_clear,
            "crit": rule.levels.crit,
            "crit_clear": rule.levels.crit_clear,
            "hold": rule.hold,
            "keep": rule.keep,
            "smoothing": rule.smoothing,
            "min_n": rule.least,
            "enabled": rule.enabled,
        }
        same = changed(rule.id, **given)
        assert same.levels == rule.levels, rule.id
        assert (same.hold, same.keep, same.smoothing) == (rule.hold, rule.keep, rule.smoothing)


def test_rule_settings_have_the_keys_of_the_file() -> None:
    assert msgspec.to_builtins(table(hold=3, warn=1)) == {"for": 3, "warn": 1}
