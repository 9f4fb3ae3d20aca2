"""Operations, pages of metrics and the Prometheus server in the JSON document."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from operations_sample import IDLE, REFUSED, everywhere, prometheus, scraped, shop

from perftui.output.document import document, encode
from perftui.output.operation_rows import chosen_window
from perftui.snapshot import Absent, Service, Snapshot, State


def plain(snapshot: Snapshot, window: str = "10s") -> dict[str, Any]:
    found = json.loads(encode(document(snapshot, window)), parse_constant=pytest.fail)
    assert isinstance(found, dict)
    return found


def rows(found: dict[str, Any]) -> list[tuple[str, str, str, float]]:
    keys = ("service", "origin", "operation", "window")
    return [tuple(row[key] for key in keys) for row in found["operations"]]


def test_an_operation_has_the_promised_names_and_plain_numbers() -> None:
    found = plain(everywhere())
    assert found["operations"][0] == {
        "service": "shop", "origin": "redis", "operation": "checkout", "window": 10.0,
        "covered": 10.0, "rate": 12.0, "mean": 0.412, "error_ratio": 0.01, "time_share": 0.8,
        "count": 120, "cancelled": 3, "p50": 0.4, "p50_interval": [0.35, 0.5], "p95": 0.7,
        "p95_interval": [0.5, 1.0], "p99": 16.0, "p99_interval": [16.0, None],
    }  # fmt: skip
    assert found["states"]["operations.0.p99_interval.1"]["state"] == "ok"


def test_what_was_not_called_is_null_with_its_reason() -> None:
    found = plain(everywhere())
    unused = found["operations"][2]
    assert (unused["operation"], unused["rate"], unused["count"]) == ("unused", 0.0, 0)
    for name in ("p50", "p95", "p99", "p50_interval", "p95_interval", "p99_interval", "mean"):
        assert unused[name] is None
        assert found["states"][f"operations.2.{name}"]["reason"] == IDLE.reason
    assert found["states"]["operations.3.error_ratio"]["state"] == "not collected"


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("10s", [("shop", 10.0)] * 3 + [("web", 10.0), ("fleet", 60.0)]),
        ("1min", [("shop", 60.0), ("web", 10.0), ("fleet", 60.0)]),
        ("5min", [("shop", 300.0), ("web", 10.0), ("fleet", 300.0)]),
        (
            "all",
            [("shop", 10.0)] * 3 + [("shop", 60.0), ("shop", 300.0), ("web", 10.0)]
            + [("fleet", 60.0), ("fleet", 300.0)],
        ),
    ],
)  # fmt: skip
def test_the_window_is_the_nearest_that_a_service_has(window: str, expected: list[Any]) -> None:
    found = rows(plain(everywhere(), window))
    assert [(service, seconds) for service, _, _, seconds in found] == expected


def test_a_service_without_windows_has_no_operations() -> None:
    assert chosen_window(Service("new", 1, ("h",), 0.1), "10s") is None
    found = plain(Snapshot(1, 0.0, 0.0, services=(Service("new", 1, ("h",), 0.1),)))
    assert found["operations"] == []
    assert found["services"][0]["operations"] == []


def test_services_keep_the_names_of_schema_1_and_have_those_of_all_origins() -> None:
    found = plain(everywhere())
    assert found["schema"] == 2
    assert [(s["name"], s["origin"]) for s in found["services"]] == [
        ("shop", "redis"), ("web", "scrape"), ("fleet", "prometheus"),
    ]  # fmt: skip
    service = found["services"][0]
    assert service["hosts"] == 2
    assert service["host_names"] == ["web-01", "web-02"]
    assert service["processes"] == 2
    assert service["last_seen"] == 0.8
    assert service["caches"] == []
    assert service["notes"] == ["2 reports could not be read"]
    assert service["operations"][0] == {
        "name": "checkout", "rate": 12.0, "mean": 0.412, "error_ratio": 0.01, "time_share": 0.8,
        "count": 120,
    }  # fmt: skip
    silent = service["instances"][2]
    assert (silent["id"], silent["state"], silent["last_seen"]) == ("w3", "stale", 75.0)
    assert silent["cpu_percent"] is None
    assert "services.0.instances.2.cpu_percent" in found["states"]


def test_pages_and_server() -> None:
    found = plain(everywhere())
    ok, broken = found["scrape"]["endpoints"]
    assert (ok["address"], ok["state"], ok["series"], ok["size"]) == (
        "http://a:80/metrics", "ok", 210, 30_000,
    )  # fmt: skip
    assert broken["series"] is None
    assert found["states"]["scrape.endpoints.1.series"]["fix"] == REFUSED.fix
    assert found["prometheus"] == {
        "address": "http://prom:9090/p", "version": "2.42.0", "targets_up": 11, "targets_down": 1,
        "notes": ["partial answer: one store is missing"], "services": 1,
        "alerts": [{
            "name": "ErrorsHigh", "severity": "page",
            "labels": {"job": "fleet", "instance": "f1:80", "operation": "search"},
            "summary": "5 % of the calls fail", "runbook": "https://runbooks/errors",
            "since": 1_699_999_000.0, "value": 0.05,
        }],
    }  # fmt: skip
    assert found["alerts"][0]["origin"] == "prometheus"


def test_a_server_without_services_and_alerts_says_why() -> None:
    gone = Absent(State.DENIED, "Prometheus does not allow it", "set prometheus.bearer_file")
    server = msgspec.structs.replace(prometheus(), services=gone, alerts=gone)
    found = plain(Snapshot(1, 0.0, 0.0, prometheus=server))
    assert found["prometheus"]["services"] is None
    assert found["prometheus"]["alerts"] == []
    for path in ("prometheus.services", "prometheus.alerts"):
        assert found["states"][path] == {
            "state": "denied", "reason": gone.reason, "fix": gone.fix,
        }  # fmt: skip


def test_a_stale_origin_marks_the_lists_that_it_fills() -> None:
    states = plain(everywhere())["states"]
    for path in ("scrape", "services", "operations"):
        assert states[path]["state"] == "stale"
        assert states[path]["age"] == 12.0
    assert "prometheus" not in states


@pytest.mark.parametrize(
    ("state", "told"), [(State.NOT_COLLECTED, False), (State.UNAVAILABLE, True)]
)
def test_a_failing_redis_is_told_beside_scraped_services(state: State, told: bool) -> None:
    snapshot = Snapshot(1, 0.0, 0.0, services=Absent(state, "no Redis"), scrape=scraped())
    found = plain(snapshot)
    assert [service["name"] for service in found["services"]] == ["web"]
    assert ("services" in found["states"]) is told


def test_every_null_is_explained() -> None:
    found = plain(everywhere(), "all")

    def walk(value: object, path: str) -> None:
        if value is None:
            assert path in found["states"]
        elif isinstance(value, dict):
            for name, item in value.items():
                walk(item, f"{path}.{name}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{path}.{index}")

    for name, value in found.items():
        if name != "states":
            walk(value, name)


def test_names_that_are_not_utf8_are_escaped() -> None:
    odd = msgspec.structs.replace(shop(), name="s\udcff", hosts=("h\udcff",), notes=("n\udcff",))
    found = plain(Snapshot(1, 0.0, 0.0, services=(odd,)))
    assert found["services"][0]["name"] == "s\\udcff"
    assert found["operations"][0]["service"] == "s\\udcff"
    assert found["services"][0]["host_names"] == ["h\\udcff"]
