"""Information: a severity that asks nobody to look, and the rules that give it."""

from __future__ import annotations

import random

import msgspec
import pytest
from alert_drive import Drive, Values, made_rule
from alert_scenes import readings, rule_of, scene, twenty
from alerts_sample import BEGIN, alert, changed, snapshot

from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.configured import configured_rules, rule_problems
from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rule import Levels, Rule
from perftui.analysis.server_alerts import server_alerts
from perftui.config import RuleSettings, Settings
from perftui.output.alert_changes import AlertChanges, AlertNews
from perftui.output.document import document
from perftui.output.once_alerts import AlertsWriter
from perftui.snapshot import (
    Absent,
    AlertState,
    Operation,
    OperationWindow,
    Prometheus,
    ServerAlert,
    Service,
    Severity,
    Snapshot,
    State,
)

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
NOT_TOLD = Absent(State.NOT_COLLECTED, "no histogram")
INFORMING = Levels(80.0, 75.0, informs=True)


def service(operations: dict[str, float], count: int = 600, name: str = "shop") -> Service:
    """Return a service whose operations take so many seconds on average, equally often."""
    total = sum(operations.values())
    found = tuple(
        Operation(
            each, count / 300, mean, NOT_TOLD, NOT_TOLD, NOT_TOLD, 0.0, mean / total, count
        )
        for each, mean in operations.items()
    )  # fmt: skip
    windows = tuple(OperationWindow(seconds, seconds, found) for seconds in (10.0, 60.0, 300.0))
    return Service(name, 1, ("box",), 0.1, windows)


def measured(rule: str, operations: dict[str, float], count: int = 600) -> dict[str, float]:
    found = readings(rule_of(catalogue(), rule), scene(0.0, services=(service(operations, count),)))
    return {subject: reading.value for subject, reading in found.items()}


class TestSeverity:
    def test_it_fires_and_ends_as_others_do_and_asks_nobody_to_look(self) -> None:
        values = Values()
        drive = Drive(made_rule(values, levels=INFORMING))
        values.set(90.0)
        (found,) = drive.run(12)
        assert (found.severity, found.state) == (INFO, AlertState.FIRING)
        assert (found.threshold, found.clear) == (80.0, 75.0)
        assert found.quiet
        assert not found.hushed
        assert Snapshot(1, 0.0, 0.0, alerts=(found,)).firing == ()
        assert [event.severity for event in drive.events] == [INFO]
        values.set(70.0)
        assert drive.run(25) == ()
        assert [event.severity for event in drive.events] == [INFO]

    def test_its_next_level_is_critical_all_the_same(self) -> None:
        values = Values()
        drive = Drive(made_rule(values, levels=Levels(80.0, 75.0, 95.0, 85.0, informs=True)))
        values.set(90.0)
        assert drive.run(12)[0].severity is INFO
        values.set(99.0)
        (found,) = drive.run(12)
        assert found.severity is CRITICAL
        assert not found.quiet
        assert drive.events[0].severity is CRITICAL

    def test_it_comes_after_all_warnings(self) -> None:
        high, low = Values(), Values()
        drive = Drive(
            made_rule(high, "A", levels=INFORMING), made_rule(low, "B", levels=Levels(80.0, 75.0))
        )
        high.set(90.0)
        drive.run(30)
        low.set(90.0)
        drive.run(2)
        assert [(one.rule, one.state) for one in drive.alerts] == [
            ("B", AlertState.PENDING),
            ("A", AlertState.FIRING),
        ]
        drive.run(12)
        drive.engine.acknowledge(drive.alerts[0].fingerprint, "ann")
        assert [one.rule for one in drive.tick()] == ["B", "A"]

    def test_it_hides_no_warning(self) -> None:
        cause, consequence = Values(), Values()
        levels = {INFO: INFORMING, WARNING: Levels(80.0, 75.0)}
        for severity, expected in ((WARNING, True), (INFO, False)):
            drive = Drive(
                made_rule(cause, "A", levels=levels[severity]),
                made_rule(consequence, "B", inhibited_by=frozenset({"A"})),
            )
            cause.set(90.0)
            consequence.set(90.0)
            found = next(one for one in drive.run(20) if one.rule == "B")
            assert bool(found.inhibited_by) is expected

    def test_rankings_explain_nothing(self) -> None:
        kinds = {rule_of(catalogue(), rule).kind.value for rule in ("R02", "R04", "R05")}
        assert kinds == {"ranking"}


class TestTold:
    def test_nobody_is_told_of_it_and_it_is_not_followed(self) -> None:
        changes, news = AlertChanges(), AlertNews()
        shown = snapshot(alert(severity=INFO))
        for at in (shown, snapshot(alert(severity=INFO, state=AlertState.NODATA)), snapshot()):
            assert changes.update(at) == []
            assert news.update(at) == []

    def test_an_alert_that_becomes_information_has_ended(self) -> None:
        changes, news = AlertChanges(), AlertNews()
        course = [(CRITICAL, "firing"), (INFO, "ended"), (WARNING, "firing")]
        for severity, expected in course:
            at = snapshot(alert(severity=severity))
            assert [change.state for change in changes.update(at)] == [expected]
            assert [change.state for change in news.update(at)] == [expected]

    def test_the_report_shows_it_below_what_fires(self) -> None:
        lines = list(
            AlertsWriter(ascii_only=True).alerts(
                snapshot(
                    alert("cpu"),
                    changed(alert("seen"), acknowledged_by="ann"),
                    alert("shop/a", severity=INFO, message="61 % of the time"),
                    alert("shop/b", severity=INFO, state=AlertState.PENDING),
                    alert("shop/c", severity=INFO, state=AlertState.RECOVERING),
                )
            )
        )
        assert lines[0].startswith("WARN ")
        heads = [line.partition(":")[0] for line in lines[-3:]]
        for head, word, subject in zip(
            heads,
            ("firing WARN ", "INFO ", "recovering INFO "),
            ("seen", "shop/a", "shop/c"),
            strict=True,
        ):
            assert head.startswith(word)
            assert head.endswith(subject)

    def test_json_says_that_nobody_need_look(self) -> None:
        found = document(snapshot(alert(severity=INFO)))["alerts"]
        assert isinstance(found, list)
        assert (found[0]["severity"], found[0]["quiet"]) == ("info", True)

    @pytest.mark.parametrize(
        ("label", "severity"),
        [("info", INFO), ("None", INFO), ("page", CRITICAL), ("", WARNING), ("odd", WARNING)],
    )
    def test_the_label_of_a_prometheus_server(self, label: str, severity: Severity) -> None:
        one = ServerAlert("Watchdog", label, (("job", "a"),), "", "", BEGIN, 1.0)
        server = Prometheus("p:9090", "2", NOT_TOLD, (one,), 1, 0)
        (found,) = server_alerts(server)
        assert found.severity is severity
        at = Snapshot(1, BEGIN, 0.0, prometheus=server)
        _, events = AlertEngine(()).update(at)
        assert [event.severity for event in events] == [severity]


def configured(name: str, **values: object) -> Rule:
    table = RuleSettings(**values)  # type: ignore[arg-type]
    settings = Settings(rules={name: table})
    assert list(rule_problems(settings)) == []
    return next(rule for rule in configured_rules(settings) if name in (rule.id, rule.name))


class TestSettings:
    def test_a_rule_of_the_catalogue_can_inform(self) -> None:
        assert configured("R10", severity="info").levels == Levels(80.0, 75.0, informs=True)

    def test_a_rule_of_ones_own_can_inform(self) -> None:
        rule = configured("mine", expr="redis.latency > 10ms", severity="info")
        assert rule.levels.informs
        assert rule.levels.warn == 0.01
        assert rule.levels.crit is None

    def test_information_can_become_a_warning_or_critical(self) -> None:
        assert configured("R05", severity="warning").levels == Levels(50.0, 45.0)
        assert configured("R05", severity="critical").levels == Levels(crit=50.0, crit_clear=45.0)

    def test_it_stays_information_with_another_level(self) -> None:
        levels = configured("R05", warn=70).levels
        assert (levels.warn, levels.warn_clear, levels.informs) == (70.0, 63.0, True)


class TestSlowerThanTheOther:
    def test_it_is_off_as_the_comparison_with_peers_is(self) -> None:
        rules = catalogue()
        assert not rule_of(rules, "R01").enabled
        assert not rule_of(rules, "R02").enabled

    def test_two_operations_are_compared_with_each_other(self) -> None:
        found = measured("R02", {"a": 0.3, "b": 0.1})
        assert found == {"shop/a": pytest.approx(3.0), "shop/b": pytest.approx(1 / 3)}
        assert measured("R02", {"a": 0.3}) == {}
        assert measured("R02", {"a": 0.3, "b": 0.1, "c": 0.1}) == {}

    def test_both_must_have_been_called_thirty_times(self) -> None:
        few = service({"a": 0.3}, 1000).operations + service({"b": 0.1}, 29).operations
        window = OperationWindow(300.0, 300.0, few)
        shop = msgspec.structs.replace(service({}), windows=(window,))
        engine = AlertEngine([configured("R02", enabled=True, hold=0)])
        assert engine.update(scene(0.0, services=(shop,)))[0] == ()

    def test_it_informs_after_half_a_minute(self) -> None:
        engine = AlertEngine([configured("R02", enabled=True)])
        shop = service({"a": 0.3, "b": 0.1})
        states = [
            [one.state for one in engine.update(scene(s, services=(shop,)))[0]] for s in range(32)
        ]
        assert states[29] == [AlertState.PENDING]
        assert states[31] == [AlertState.FIRING]


class TestOutliers:
    def test_the_score_is_that_of_iglewicz_and_hoaglin(self) -> None:
        """Logarithms 0 to 7 and 30 have the median 4 and the median deviation 2."""
        means = {str(n): 2.718281828459045**n for n in (*range(8), 30)}
        found = measured("R04", means)
        assert found["shop/30"] == pytest.approx(0.6745 * 26 / 2)
        assert found["shop/0"] == pytest.approx(0.6745 * -4 / 2)

    def test_fewer_than_eight_operations_are_no_crowd(self) -> None:
        assert measured("R04", {str(n): 0.1 for n in range(7)}) == {}
        assert len(measured("R04", {str(n): 0.1 for n in range(8)})) == 8

    def test_operations_that_are_called_seldom_are_not_of_it(self) -> None:
        assert measured("R04", {str(n): 0.1 for n in range(9)}, count=29) == {}

    def test_a_few_percent_among_equals_are_no_exception(self) -> None:
        means = {str(n): 0.1 for n in range(9)}
        assert measured("R04", {**means, "slow": 0.15})["shop/slow"] < 3.5
        assert measured("R04", {**means, "slow": 0.2})["shop/slow"] > 3.5

    def test_healthy_operations_that_differ_are_seldom_named(self) -> None:
        """The share that was simulated for 20 operations with a spread of 1.2 is 0.05."""
        chance = random.Random(3)
        named = sum(
            sum(value > 3.5 for value in measured("R04", twenty(chance)).values())
            for _ in range(300)
        )
        assert 1 <= named <= 30

    def test_it_says_how_slow_it_is_and_among_which(self) -> None:
        rule = rule_of(catalogue(), "R04")
        shop = service({**{f"o{n}": 0.1 + n / 100 for n in range(9)}, "slow": 5.0})
        engine = AlertEngine([rule], immediate=True)
        (found,) = engine.update(scene(0.0, services=(shop,)))[0]
        assert found.subject == "shop/slow"
        assert found.severity is INFO
        assert found.message.startswith("5.00 s on average, 34.5 x the median 145 ms of")
        assert "n=600" in found.message
        assert (found.measured, found.measured_unit) == (5.0, "seconds")


class TestTimeShare:
    def test_it_names_the_operation_that_takes_most_of_the_time(self) -> None:
        rule = rule_of(catalogue(), "R05")
        assert rule.enabled
        engine = AlertEngine([rule], immediate=True)
        shop = service({"checkout": 0.6, "cart": 0.3, "list": 0.1})
        (found,) = engine.update(scene(0.0, services=(shop,)))[0]
        assert (found.subject, found.severity) == ("shop/checkout", INFO)
        assert found.message == "60 % of the service's time (n=600 in 5 min)"
        assert found.evidence[:2] == (
            "checkout: 2/s, 600 ms on average, 60 % of the time",
            "cart: 2/s, 300 ms on average, 30 % of the time",
        )

    def test_few_calls_and_a_single_operation_say_nothing(self) -> None:
        engine = AlertEngine([rule_of(catalogue(), "R05")], immediate=True)
        for shop in (service({"a": 0.6, "b": 0.1}, count=99), service({"a": 0.6})):
            assert engine.update(scene(0.0, services=(shop,)))[0] == ()

    def test_it_does_not_flap_about_its_level(self) -> None:
        """A share that wanders between 44 and 56 % for an hour comes once at most a few times."""
        chance = random.Random(5)
        engine = AlertEngine([rule_of(catalogue(), "R05")])
        share, began, before = 0.5, 0, False
        for tick in range(360):
            share = min(0.56, max(0.44, share + chance.gauss(0, 0.01)))
            shop = service({"a": share, "b": (1 - share) / 2, "c": (1 - share) / 2})
            alerts, _ = engine.update(scene(10.0 * tick, services=(shop,)))
            now = any(one.state is not AlertState.PENDING for one in alerts)
            began += now and not before
            before = now
        assert 1 <= began <= 2

    def test_what_prometheus_tells_is_not_judged(self) -> None:
        shop = msgspec.structs.replace(service({"a": 0.9, "b": 0.1}), origin="prometheus")
        engine = AlertEngine([rule_of(catalogue(), "R05")], immediate=True)
        assert engine.update(scene(0.0, services=(shop,)))[0] == ()
