"""Alerts and their events in the JSON document, the text report and on the exporter's page."""

from __future__ import annotations

import json
import re

from alerts_sample import BEGIN, GONE, alert, every_state, snapshot
from measured_sample import full

from perftui.output.document import document, encode
from perftui.output.exporter_metrics import SnapshotCollector
from perftui.output.once import report
from perftui.snapshot import AlertState, Severity, Snapshot


def section(text: str, title: str) -> list[str]:
    blocks = {block.splitlines()[0]: block.splitlines()[1:] for block in text.split("\n\n")}
    return blocks.get(title, [])


def samples(found: Snapshot, name: str) -> dict[tuple[str, ...], float]:
    families = {family.name: family for family in SnapshotCollector(lambda: found).collect()}
    family = families.get(name)
    if family is None:
        return {}
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_an_alert_in_json_has_every_field() -> None:
    found = json.loads(encode(document(every_state())))
    host = next(one for one in found["alerts"] if one["subject"] == "host")
    assert host == {
        "rule": "R10", "severity": "critical", "subject": "host", "value": 91.5,
        "threshold": 80.0, "unit": "percent", "since": BEGIN, "message": "CPU 91.5 %, above 80 %",
        "hint": "8 Processes shows the busiest", "pane": "resources", "origin": "local",
        "state": "firing", "fingerprint": "f-host", "title": "CPU busy", "kind": "utilisation",
        "changed": BEGIN + 60, "clear": 75.0, "window": 60.0, "n": None, "baseline": None,
        "peak": 97.0, "mean": 90.25, "samples": 75, "group": "",
        "evidence": ["python (pid 7) 88 %"], "causes": ["f-disk", "f-gone"],
        "silenced_until": None, "comment": "", "inhibited_by": "", "acknowledged_by": "",
        "flapping": True, "reason": "", "quiet": False,
        "measured": None, "measured_usual": None, "measured_unit": "",
    }  # fmt: skip
    by_subject = {one["subject"]: one for one in found["alerts"]}
    assert [by_subject[name]["state"] for name in ("pool", "redis", "disk", "fleet")] == [
        "pending", "nodata", "recovering", "firing",
    ]  # fmt: skip
    assert by_subject["known"]["silenced_until"] == BEGIN + 3600
    assert [by_subject[name]["quiet"] for name in ("known", "seen", "symptom")] == [True] * 3
    assert (by_subject["fleet"]["n"], by_subject["fleet"]["baseline"]) == (40, 30.5)


def test_what_an_alert_lacks_is_null_and_explained() -> None:
    found = json.loads(encode(document(every_state())))
    assert found["alerts"][1]["value"] is None
    assert found["states"]["alerts.1.value"] == {
        "state": "unavailable", "reason": GONE.reason, "fix": GONE.fix,
    }  # fmt: skip
    assert found["states"]["alerts.0.silenced_until"]["state"] == "ok"
    assert "alerts.3.silenced_until" not in found["states"]


def test_an_alert_that_never_changed_has_been_so_since_its_begin() -> None:
    found = document(snapshot(alert(changed=0.0)))
    assert json.loads(encode(found))["alerts"][0]["changed"] == BEGIN


def test_events_in_json_tell_whether_they_last() -> None:
    found = json.loads(encode(document(every_state())))
    over, lasting = found["alert_events"]
    assert (over["begin"], over["end"], over["severity"]) == (BEGIN, BEGIN + 300, "critical")
    assert (over["peak"], over["mean"], over["samples"]) == (99.0, 95.5, 300)
    assert over["evidence"] == ["/var/log grows"]
    assert lasting["end"] is None
    assert found["states"]["alert_events.1.end"]["reason"] == "it lasts"


def test_text_tells_what_fires_first() -> None:
    lines = section(report(every_state()), "Alerts")
    heads = [line for line in lines if not line.startswith("       ")]
    since = "since 2023-11-14T22:13:20.000Z"
    cpu = "CPU 91.5 %, above 80 %"
    assert heads == [
        f"  CRIT CPU busy host: {cpu}, {since}, flapping",
        f"  WARN CPU busy fleet: {cpu} (rule of prometheus), {since}",
        f"  pending WARN CPU busy pool: {cpu}, {since}",
        f"  no data WARN CPU busy redis: {cpu}, {since}, {GONE.reason}",
        f"  recovering WARN CPU busy disk: {cpu}, {since}",
        f"  firing WARN CPU busy known: {cpu}, {since}, "
        "silenced until 2023-11-14T23:13:20.000Z (restart at noon)",
        f"  firing WARN CPU busy seen: {cpu}, {since}, acknowledged by ann",
        f"  firing WARN CPU busy symptom: {cpu}, {since}, inhibited by host: CPU busy",
    ]
    # A cause that is over is not there to be named.
    assert lines[1:4] == [
        "       python (pid 7) 88 %",
        "       may be because of disk: CPU busy",
        "       next: 8 Processes shows the busiest",
    ]


def test_text_tells_the_critical_ones_first() -> None:
    warns, critical = alert("a", severity=Severity.WARNING), alert("b", severity=Severity.CRITICAL)
    lines = section(report(snapshot(warns, critical)), "Alerts")
    heads = [line.split()[0] for line in lines if not line.startswith("       ")]
    assert heads == ["CRIT", "WARN"]


def test_a_title_that_the_message_repeats_is_told_once() -> None:
    lines = section(report(snapshot(alert("/", title="CPU", message="CPU at 9 %"))), "Alerts")
    assert lines[0].startswith("  WARN /: CPU at 9 %,")
    assert section(report(snapshot(alert("", title="Lone"))), "Alerts")[0].startswith(
        "  WARN Lone: "
    )


def test_text_says_when_nothing_fires() -> None:
    assert section(report(snapshot()), "Alerts") == ["  none"]
    pending = section(report(snapshot(alert(state=AlertState.PENDING))), "Alerts")
    assert pending[0] == "  none is firing"
    assert pending[1].startswith("  pending WARN CPU busy host: ")


def test_text_tells_past_alerts() -> None:
    text = report(every_state())
    (line,) = section(text, "Past alerts")
    assert line == "  CRIT disk full /: 99 % used, from 2023-11-14T22:13:20.000Z for 5m 0s"
    assert "Past alerts" not in report(full())


def test_hostile_text_of_an_alert_stays_text() -> None:
    evil = "x\x1b[2J\n\udcff"
    shown = snapshot(
        alert(evil, message=evil, comment=evil, silenced_until=BEGIN, evidence=(evil,)),
        alert("b", inhibited_by=evil, reason=evil, state=AlertState.NODATA),
        alert("c", evidence=(evil,), hint=evil),
    )
    for text in (report(shown), report(shown, ascii_only=True)):
        assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]*", text)
        assert len(section(text, "Alerts")) == 5
    assert json.loads(encode(document(shown)))["alerts"][0]["subject"] == "x\x1b[2J\n\\udcff"


def test_missing_values_do_not_list_what_alerts_do_not_have() -> None:
    assert not [
        line for line in section(report(every_state()), "Missing values") if "alert" in line
    ]


def test_page_counts_only_what_asks_to_be_looked_at() -> None:
    found = every_state()
    assert samples(found, "perftui_alerts_firing") == {("warning",): 0, ("critical",): 1}
    assert samples(found, "perftui_alert_firing") == {("R10", "critical", "host"): 1}
    assert samples(found, "perftui_alerts") == {
        ("pending",): 1, ("firing",): 4, ("recovering",): 1, ("nodata",): 1,
    }  # fmt: skip


def test_page_tells_state_and_quiet_of_each_alert() -> None:
    found = every_state()
    states = samples(found, "perftui_alert_state")
    # That of the Prometheus server is not told back to it.
    assert {(subject, state) for _, _, subject, state in states} == {
        ("pool", "pending"), ("redis", "nodata"), ("disk", "recovering"), ("known", "firing"),
        ("seen", "firing"), ("symptom", "firing"), ("host", "firing"),
    }  # fmt: skip
    quiet = samples(found, "perftui_alert_quiet")
    assert {(subject, reason) for _, _, subject, reason in quiet} == {
        ("known", "silenced"), ("seen", "acknowledged"), ("symptom", "inhibited"),
    }  # fmt: skip
