"""The JSON document and the text report of a snapshot."""

from __future__ import annotations

import json
import math
import re

import msgspec
import pytest
from measured_sample import DENIED, full

from perftui.output.document import document, encode, iso_utc
from perftui.output.once import report
from perftui.snapshot import (
    FIRST_SAMPLE,
    SCHEMA,
    Host,
    MonitorCost,
    Snapshot,
    SourceStatus,
    State,
)


def test_promised_paths() -> None:
    result = json.loads(encode(document(full())))
    assert result["schema"] == SCHEMA
    assert result["time"] == "2023-11-14T22:13:20.500Z"
    assert result["host"]["name"] == "web-01"
    assert result["resources"]["cpu"]["percent"] == 58.2
    assert result["resources"]["cpu"]["per_core"] == [71.0, 44.0]
    assert result["resources"]["memory"] == {
        "percent": 81.4,
        "used": 6 * 2**30,
        "total": 8 * 2**30,
        "available": 2 * 2**30,
        "oom_kills": None,
    }
    assert [row["pid"] for row in result["processes"]] == [7, 8, 9]
    assert result["processes"][0]["name"] == "python"
    assert result["processes"][0]["cpu_percent"] == 12.5
    assert result["processes"][0]["memory_rss"] == 2**20
    assert result["process_counts"] == {
        "total": 312, "threads": 900, "running": 2, "scan_seconds": 0.0,
    }  # fmt: skip
    assert result["alerts"][0]["severity"] == "critical"
    assert result["pools"][0]["servers"][0]["cpu_usage"] == 83.0
    assert result["pools"][1]["servers"] == []
    assert result["top_calls"]["calls"][0]["function"] == "price_for"
    assert result["monitor"]["memory_rss"] == 40_000_000
    assert [source["name"] for source in result["sources"]] == ["host", "redis"]
    assert result["services"][0]["caches"][0]["tiers"][0]["hit_ratio"]["seconds_10"] == 0.912


def test_missing_is_null_and_explained() -> None:
    result = document(full())
    states = result["states"]
    assert isinstance(states, dict)
    plain = json.loads(encode(result))
    for path, state in states.items():
        if state["state"] == "stale":
            continue
        value = plain
        for part in path.split("."):
            value = value[int(part) if part.isdigit() else part]
        assert value is None or (value == [] and path == "haproxy"), path
        assert state["reason"], path
    first = {"state": "not collected", "reason": FIRST_SAMPLE.reason, "fix": ""}
    assert states["processes.1.cpu_percent"] == first
    assert states["pools.0.servers.0.memory_usage"] == {
        "state": "denied", "reason": DENIED.reason, "fix": DENIED.fix,
    }  # fmt: skip
    assert plain["resources"]["cgroup"]["memory_limit"] is None
    unlimited = {"state": "ok", "reason": "no memory limit is set", "fix": ""}
    assert states["resources.cgroup.memory_limit"] == unlimited


def test_stale_section_keeps_its_numbers() -> None:
    result = json.loads(encode(document(full())))
    assert result["redis"]["keys"] == 120_000
    assert result["states"]["redis"] == {
        "state": "stale", "reason": "no answer", "fix": "restart it", "age": 12.0,
    }  # fmt: skip


def test_empty_snapshot_has_all_names() -> None:
    result = json.loads(encode(document(Snapshot(0, 0.0, 0.0))))
    assert set(result) == set(json.loads(encode(document(full()))))
    for name in ("processes", "pools", "services", "operations", "alerts", "sources"):
        assert result[name] == [], name
    for name in (
        "processes", "process_counts", "pools", "services", "redis", "host", "top_calls",
        "scrape", "prometheus",
    ):  # fmt: skip
        assert result["states"][name]["state"] == "not collected", name
    assert result["states"]["resources.cpu"]["reason"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_become_null(bad: float) -> None:
    snapshot = full()
    cost = MonitorCost(bad, 1, 1.0, 0)
    late = SourceStatus("redis", State.STALE, "", "", bad, None, 1.0, 0, 0)
    snapshot = msgspec.structs.replace(snapshot, monitor=cost, sources=(late,))
    text = encode(document(snapshot)).decode()
    result = json.loads(text, parse_constant=pytest.fail)
    assert result["monitor"]["cpu_percent"] is None
    assert "finite" in result["states"]["monitor.cpu_percent"]["reason"]
    assert result["states"]["redis"]["age"] is None


def test_text_that_is_not_utf8_is_escaped() -> None:
    encoded = encode(document(full()))
    assert json.loads(encoded)["processes"][2]["name"] == "evil\x1b[2J\n\\udcff"


def test_no_type_tags() -> None:
    assert b'"type"' not in encode(document(full()), indent=0)
    assert encode(document(full()), indent=0).count(b"\n") == 0


def test_report_has_every_section_and_is_clean() -> None:
    text = report(full())
    titles = re.findall(r"^(\S.*)$", text, re.MULTILINE)
    assert titles == [
        "Host", "Resources", "Alerts", "Operations", "Top calls", "Redis", "Caches", "Servers",
        "Queries",
        "Pages of metrics", "Prometheus", "File systems", "Open files", "Processes",
            "Sources with problems", "Missing values",
    ]  # fmt: skip
    assert all(line.isprintable() for line in text.split("\n"))
    assert "evil\\x1b[2J\\n\\udcff" in text
    assert "CRIT cpu: cpu is full, since 2023-11-14T22:13:20.000Z" in text
    assert "cpu       58.2 %, user 40.0 %" in text
    assert "memory    81.4 %, 6.00 GiB of 8.00 GiB" in text
    assert "hit ratio 91.2 % in 10 s, 90.0 % in 100 s, - in 1000 s" in text
    assert "overloaded" in text
    assert "stale 12 s: no answer" in text
    order = [text.index(f"\n  {pid:>7}  ") for pid in (9, 7, 8)]
    assert order == sorted(order)


def test_report_tells_reason_and_fix_of_what_is_missing() -> None:
    nothing = Snapshot(0, 0.0, 0.0, processes=DENIED, redis=DENIED)
    text = report(nothing)
    assert text.count(f"denied: {DENIED.reason}\n  fix: {DENIED.fix}") == 2
    assert "cpu       not collected: no sample yet" in text
    whole = report(full())
    assert "processes[].cpu_percent" in whole
    assert "denied: the kernel says no\n    fix: sudo sysctl" in whole
    assert " and 3 more: denied" in whole


def test_report_in_ascii() -> None:
    odd = msgspec.structs.replace(full(), host=Host("wéb", "Linux", "6", 1, 1.0))
    text = report(odd, ascii_only=True)
    assert text.isascii()
    assert "w\\u00e9b" in text


def test_iso_time() -> None:
    assert iso_utc(0.0) == "1970-01-01T00:00:00.000Z"
