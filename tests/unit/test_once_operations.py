"""The sections of the text report about operations, pages of metrics and Prometheus."""

from __future__ import annotations

import msgspec
from operations_sample import CHECKOUT, everywhere, prometheus, shop

from perftui.output.once import report
from perftui.snapshot import Absent, OperationWindow, Scrape, Service, Snapshot, State


def section(text: str, title: str) -> list[str]:
    blocks = dict(block.split("\n", 1) for block in text.rstrip("\n").split("\n\n"))
    return [line.removeprefix("  ") for line in blocks[title].split("\n")]


def test_a_table_per_service_with_the_costliest_operation_first() -> None:
    lines = section(report(everywhere()), "Operations")
    assert lines[0] == "shop, read from Redis, 2 processes on 2 hosts, seen 1 s ago"
    assert "  note: 2 reports could not be read" in lines
    assert "  w3 on web-02: stale, silent for 1m 15s, its clock is off" in lines
    names = [line.split()[0] for line in lines if line.startswith("  ") and "/s" in line]
    assert names == ["checkout", "search", "unused", "GET", "search"]
    checkout = next(line for line in lines if line.strip().startswith("checkout"))
    assert checkout.split() == [
        "checkout", "12/s", "400", "ms", "700", "ms", "16.0", "s", "412", "ms", "1.0", "80.0",
        "120", "p95", "in", "500", "ms", "to", "1.00", "s,", "3", "cancelled",
    ]  # fmt: skip
    search = next(line for line in lines if line.strip().startswith("search"))
    assert "p95 in" not in search
    assert "web, read from its page of metrics, 1 process on 1 host, seen 0 s ago" in lines
    assert "  last 10 s, of which 4 s have been watched" in lines
    assert "  last 1 min" in lines


def test_columns_stand_below_their_heads() -> None:
    lines = section(report(everywhere()), "Operations")
    head = next(line for line in lines if "rate" in line)
    row = next(line for line in lines if line.strip().startswith("search"))
    for name, value in (("rate", "80/s"), ("p99", "48.0 ms"), ("mean", "31.0 ms"),
                        ("time %", "20.0"), ("count", "800")):  # fmt: skip
        assert head.index(name) + len(name) == row.index(value) + len(value), name


def test_all_windows() -> None:
    lines = section(report(everywhere(), window="all"), "Operations")
    assert [line.strip() for line in lines if "last" in line] == [
        "last 10 s", "last 1 min, of which 40 s have been watched",
        "last 5 min, of which 40 s have been watched",
        "last 10 s, of which 4 s have been watched", "last 1 min", "last 5 min",
    ]  # fmt: skip


def test_a_window_that_a_server_had_to_stretch() -> None:
    service = Service("s", 1, (), 0.1, (OperationWindow(10.0, 40.0, (CHECKOUT,)),))
    lines = section(report(Snapshot(1, 0.0, 0.0, services=(service,))), "Operations")
    assert lines[:2] == [
        "s, read from Redis, 1 process, seen 0 s ago",
        "  last 10 s, stretched to 40 s",
    ]


def test_many_operations_are_cut_and_the_rest_counted() -> None:
    many = tuple(msgspec.structs.replace(CHECKOUT, name=f"op-{n}") for n in range(55))
    service = Service("big", 1, ("h",), 0.1, (OperationWindow(10.0, 10.0, many),))
    lines = section(report(Snapshot(1, 0.0, 0.0, services=(service,))), "Operations")
    assert sum("op-" in line for line in lines) == 40
    assert lines[-1] == "  and 15 more, see perftui once --json"


def test_pages_tell_reason_fix_and_notes() -> None:
    assert section(report(everywhere()), "Pages of metrics") == [
        "http://a:80/metrics ok, service web, 29.3 KiB, 210 series used, 4.00 ms of CPU",
        "  note: a counter went back: several workers answer by turns",
        "http://b:80/metrics unavailable: refused the connection",
        "  fix: start it",
    ]


def test_the_server_and_its_alerts() -> None:
    text = report(everywhere())
    assert section(text, "Prometheus") == [
        "http://prom:9090/p, version 2.42.0",
        "targets   11 up, 1 down",
        "services  1",
        "alerts    1 firing",
        "note: partial answer: one store is missing",
    ]
    alerts = section(text, "Alerts")
    assert alerts[0].startswith(
        "CRIT fleet: ErrorsHigh: 5 % of the calls fail (rule of prometheus)"
    )
    assert alerts[1].strip() == "next: https://runbooks/errors"


def test_what_a_server_does_not_tell_is_named_with_the_fix() -> None:
    gone = Absent(State.DENIED, "Prometheus does not allow it", "set prometheus.bearer_file")
    server = msgspec.structs.replace(prometheus(), services=gone, alerts=gone, version="")
    lines = section(report(Snapshot(1, 0.0, 0.0, prometheus=server)), "Prometheus")
    assert lines[0] == "http://prom:9090/p, version unknown"
    assert "services  denied: Prometheus does not allow it" in lines
    assert "          fix: set prometheus.bearer_file" in lines


def test_nothing_configured_says_how() -> None:
    text = report(Snapshot(1, 0.0, 0.0))
    for title in ("Operations", "Pages of metrics", "Prometheus"):
        assert section(text, title)[0].startswith("not collected")
    assert section(report(Snapshot(1, 0.0, 0.0, services=())), "Operations") == [
        "no service is known"
    ]
    found = report(Snapshot(1, 0.0, 0.0, scrape=Scrape((), ())))
    assert section(found, "Pages of metrics") == ["no page of metrics was found"]


def test_a_failing_redis_is_told_beside_other_services() -> None:
    broken = Absent(State.UNAVAILABLE, "Redis refused the connection", "start it")
    snapshot = msgspec.structs.replace(everywhere(), services=broken)
    lines = section(report(snapshot), "Operations")
    assert lines[:2] == ["unavailable: Redis refused the connection", "fix: start it"]
    assert lines[2].startswith("web, read from its page")


def test_missing_values_do_not_repeat_what_was_said() -> None:
    lines = section(report(everywhere()), "Missing values")
    said = "\n".join(lines)
    assert "operations[].p50" in said
    assert "operations[].error_ratio: not collected" in said
    assert "services[].operations" not in said
    assert "scrape.endpoints" not in said
    assert "interval" not in said


def test_hostile_names_act_on_nothing() -> None:
    evil = "e\x1b[2J\n\udcff"
    service = msgspec.structs.replace(shop(), name=evil, notes=(evil,), hosts=(evil,))
    snapshot = msgspec.structs.replace(everywhere(), services=(service,))
    text = report(snapshot)
    assert all(line.isprintable() for line in text.split("\n"))
    assert report(snapshot, ascii_only=True).isascii()
