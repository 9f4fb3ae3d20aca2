"""How information, a yes or no, and a ratio of measurements are shown."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alert_drive import Drive, Values, made_rule
from alert_scenes import Shop, rule_of, scene
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sample import NOW, filled_history, full_snapshot
from sample_alerts import alarmed, alert, all_alerts, past

from perftui import cli
from perftui.analysis.alerting.catalogue import catalogue
from perftui.analysis.alerting.configured import configured_rules
from perftui.analysis.alerting.engine import AlertEngine
from perftui.config import RuleSettings, Settings
from perftui.format import measure
from perftui.output.document import document
from perftui.output.exporter_metrics import SnapshotCollector
from perftui.quantities import YES_NO
from perftui.snapshot import Absent, Alert, AlertEvent, AlertState, Severity, Snapshot
from perftui.tui.alarm import Alarm
from perftui.tui.block_list import block_page
from perftui.tui.glyphs import ASCII, UNICODE
from perftui.tui.lines import Line, width_of
from perftui.tui.panes import make_panes
from perftui.tui.panes.alert_lines import event_line
from perftui.tui.panes.alert_series import find_series
from perftui.tui.panes.alerts import AlertsPane
from perftui.tui.panes.bars import firing_counts
from perftui.tui.view import View

INFO = Severity.INFO
replace = msgspec.structs.replace


def view(width: int = 120, height: int = 40, **more: Any) -> View:
    return View(width, height, UNICODE, filled_history(), 1.0, **more)


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)


def listed(snapshot: Snapshot, drawn: View) -> str:
    table = AlertsPane().table(snapshot, drawn)
    assert table is not None
    assert table.blocks is not None
    return text_of(block_page(table.records, table.blocks, 0, 0, drawn.height).lines)


def detail(record: Alert | AlertEvent, width: int = 120) -> str:
    alerts = (record,) if isinstance(record, Alert) else ()
    snapshot = replace(full_snapshot(), alerts=alerts, alert_events=past())
    lines = make_panes()["alerts"].head(snapshot, view(width, zoomed=True, selected=record))
    assert all(width_of(line) <= width for line in lines)
    return text_of(lines)


def time_share(**fields: Any) -> Alert:
    """Return information about where the time goes."""
    usual: dict[str, Any] = {
        "rule": "R05", "title": "Where the time goes", "message": "takes 61 % of the time",
        "hint": "what is saved here counts most", "pane": "operations", "value": 61.0,
        "threshold": 50.0, "clear": 45.0, "window": 300.0, "n": 3600,
    }  # fmt: skip
    return alert("time_share", "shop/checkout", INFO, **{**usual, **fields})


def overloaded(**fields: Any) -> Alert:
    """Return an alert that is so or is not."""
    usual: dict[str, Any] = {
        "rule": "R27", "unit": YES_NO, "value": 1.0, "threshold": 0.5, "clear": 0.5, "peak": 1.0,
        "mean": 1.0, "samples": 200, "since": NOW - 200, "pane": "servers",
        "message": "above a limit of its pool: CPU 95 %",
    }  # fmt: skip
    return alert("server_overloaded", "web/api-2", **{**usual, **fields})


class TestInformation:
    def test_it_is_below_everything_else_that_is_not_over(self) -> None:
        shown = replace(alarmed(), alerts=(time_share(), *all_alerts()))
        text = listed(shown, view())
        assert text.index("many descriptors") < text.index("\n for information\n")
        assert text.index("\n for information\n") < text.index("i INFO Where the time goes")
        assert text.index("i INFO") < text.index("\n before\n")
        assert "what is saved here" not in text

    def test_it_takes_no_room_from_what_fires(self) -> None:
        firing = (alert("high_cpu", "host"),)
        informing = tuple(time_share(fingerprint=f"{n}") for n in range(20))
        alone = listed(replace(full_snapshot(), alerts=firing, alert_events=()), view(90, 4))
        both = listed(replace(full_snapshot(), alerts=firing + informing), view(90, 4))
        assert "press 8, then s" in alone
        assert "press 8, then s" in both
        assert "more: enter shows all" in both

    def test_nothing_but_information_is_all_well(self) -> None:
        shown = replace(full_snapshot(), alerts=(time_share(),), alert_events=())
        pane = AlertsPane()
        assert text_of([pane.heading(shown, view())]) == "none firing · 1 for information"
        well = pane.head(replace(shown, alerts=()), view())
        assert pane.head(shown, view()) == well
        assert len(well) == 2
        assert pane.mark(shown) == (" ", "muted")
        assert pane.head(alarmed(), view()) == []

    def test_what_may_become_information_is_not_shown(self) -> None:
        waiting = time_share(state=AlertState.PENDING)
        shown = replace(full_snapshot(), alerts=(waiting,), alert_events=())
        assert AlertsPane().table(shown, view()) is None
        assert text_of([AlertsPane().heading(shown, view())]) == "none firing"

    def test_header_tabs_bell_and_notification_do_not_tell_of_it(self) -> None:
        shown = replace(full_snapshot(), alerts=(time_share(),))
        assert firing_counts(shown, ASCII) == ()
        nothing = replace(shown, alerts=())
        panes = list(make_panes().values())
        assert [pane.mark(shown) for pane in panes] == [pane.mark(nothing) for pane in panes]
        assert Alarm(True, True, {"TERM": "xterm"}).update(shown) == ""

    def test_the_detail_and_the_past_say_what_it_is(self) -> None:
        text = detail(time_share())
        assert text.startswith(" i INFO Where the time goes shop/checkout")
        assert "since" in text.split("\n")[0]
        assert "firing" not in text.split("\n")[0]
        assert "recovering INFO" in detail(time_share(state=AlertState.RECOVERING))
        event = replace(past()[1], severity=INFO)
        assert " INFO slow operation" in text_of([event_line(event, view(), NOW)])

    def test_the_page_of_metrics_counts_it_neither_as_firing_nor_as_trouble(self) -> None:
        shown = replace(full_snapshot(), alerts=(time_share(),))
        page = generate_latest(SnapshotCollector(lambda: shown, lambda: NOW))
        found = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
        }
        names = {name for name, _ in found}
        assert "perftui_alert_firing" not in names
        assert found["perftui_alerts", (("state", "firing"),)] == 0
        assert ("perftui_alerts_firing", (("severity", "info"),)) not in found
        state = (("rule", "R05"), ("severity", "info"), ("state", "firing"))
        assert found["perftui_alert_state", (*state, ("subject", "shop/checkout"))] == 1


class TestYesOrNo:
    def test_the_detail_says_since_when_and_nothing_of_levels(self) -> None:
        text = detail(overloaded())
        assert "value yes for 3m 20s" in text
        for word in ("threshold", "clears at", "peak", "mean", "1.00", "0.50", "value in"):
            assert word not in text, word

    def test_what_recovers_or_is_not_heard_of(self) -> None:
        gone = overloaded(state=AlertState.RECOVERING, value=0.0, changed=NOW - 12)
        assert "value no for 12 s" in detail(gone)
        lost = overloaded(state=AlertState.NODATA, reason="Redis is gone")
        assert "value yes when last heard" in detail(lost)

    def test_the_past_has_no_peak_of_it(self) -> None:
        event = replace(past()[1], unit=YES_NO, peak=1.0, mean=1.0)
        assert "peak" not in text_of([event_line(event, view(), NOW)])
        text = detail(event)
        assert "lasted 5m 0s" in text
        assert "peak" not in text
        assert "mean" not in text

    def test_it_has_no_course(self) -> None:
        assert find_series(overloaded(), full_snapshot()) == ()

    @pytest.mark.parametrize(
        ("value", "text"),
        [(1.0, "yes"), (0.0, "no"), (0.25, "yes 25.0 % of the time"), (float("nan"), "-")],
    )
    def test_it_is_a_word(self, value: float, text: str) -> None:
        assert measure(value, YES_NO) == text

    def test_all_rules_that_know_nothing_in_between_say_so(self) -> None:
        found = {rule.id for rule in catalogue() if rule.unit == YES_NO}
        assert "R27" in found
        for rule in catalogue():
            halves = (rule.levels.warn, rule.levels.crit)
            assert (0.5 in halves and not rule.unit) is False, rule.id

    def test_a_condition_of_ones_own_is_one(self) -> None:
        own = 'redis.latency > 10ms and redis.role = "master"'
        tables = {"mine": RuleSettings(expr=own.replace(" = ", " == "))}
        (rule,) = (each for each in configured_rules(Settings(rules=tables)) if each.id == "mine")
        assert rule.unit == YES_NO

    def test_a_rule_that_fails_is_one(self) -> None:
        values = Values()
        values.error = ValueError("odd")
        (found,) = Drive(made_rule(values)).run(2)
        assert (found.rule, found.unit, found.value) == ("rule_failed", YES_NO, 1.0)


class TestMeasured:
    def slow(self) -> Alert:
        shop = Shop(random.Random(2), {"checkout": 0.1, "list": 0.02})
        engine = AlertEngine([rule_of(catalogue(), "R03")])
        for step in range(80):
            if step == 60:
                shop.medians["checkout"] = 0.4
            service = shop.go_on(10.0)
            alerts, _ = engine.update(scene(shop.seconds, services=(service,)))
        return next(one for one in alerts if one.subject == "shop/checkout")

    def test_a_slow_operation_says_its_p95_now_and_usually(self) -> None:
        found = self.slow()
        assert found.unit == "x"
        assert found.measured_unit == "seconds"
        assert isinstance(found.measured, float)
        assert isinstance(found.measured_usual, float)
        assert found.measured / found.measured_usual == pytest.approx(found.value)
        text = detail(replace(found, since=NOW - 60))
        assert f"now {measure(found.measured, 'seconds')}" in text
        assert f"usual {measure(found.measured_usual, 'seconds')}" in text
        values = document(Snapshot(1, NOW, 0.0, alerts=(found,)))["alerts"]
        assert isinstance(values, list)
        assert values[0]["measured"] == found.measured
        assert values[0]["measured_usual"] == found.measured_usual
        assert values[0]["measured_unit"] == "seconds"

    def test_what_is_compared_itself_has_no_other_measure(self) -> None:
        values = Values()
        values.set(90.0)
        found = Drive(made_rule(values)).run(2)[0]
        assert isinstance(found.measured, Absent)
        assert found.measured_unit == ""
        assert "now" not in detail(found)

    def test_the_rules_that_compare_with_a_usual_value_carry_it(self) -> None:
        units = {rule.id: rule.measured_in for rule in catalogue() if rule.measured_in}
        assert units == {
            "R03": "seconds", "R04": "seconds", "R08": "/s", "R24": "ratio", "R25b": "seconds",
        }  # fmt: skip


class TestListing:
    def told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        config = tmp_path / "config.toml"
        config.write_text('[rules.R10]\nseverity = "info"\n')
        assert cli.main(["--config", str(config), "rules", *words]) == 0
        return capsys.readouterr().out

    def test_the_list_says_what_informs_and_what_is_yes_or_no(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = self.told(tmp_path, capsys, "list")
        assert "info above 50.0 % until 45.0 %" in text
        assert "info above 80.0 % until 75.0 %" in text
        assert "warning when it is so" in text
        rules = json.loads(self.told(tmp_path, capsys, "list", "--json"))["rules"]
        informing = {rule["id"] for rule in rules if rule["informs"]}
        assert {"R02", "R04", "R05", "R10"} <= informing
        assert "R09" not in informing

    def test_a_test_of_rules_can_expect_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        test = tmp_path / "test.toml"
        test.write_text(
            'interval = "5s"\n[series]\n"resources.cpu.percent" = "97x90"\n'
            '[[expect]]\nat = "5min"\nrule = "R10"\nstate = "firing"\nseverity = "info"\n'
        )
        assert "1 of 1 expectations met" in self.told(tmp_path, capsys, "test", str(test))
