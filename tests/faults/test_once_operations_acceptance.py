"""`perftui once` with operations: of a service that reports, a page, and a whole Prometheus."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_server import free_port, shop_page, starting
from redis_fixture import RedisProcess

PERFTUI = (sys.executable, "-m", "perftui")
SERVICE = """
import sys, time
from perftui import ExecutionMetrics, Reporter
metrics = ExecutionMetrics()
Reporter(sys.argv[1], service="shop", interval=0.25).start()
number = 0
while True:
    number += 1
    metrics.record_execution("checkout", 0.03, number % 4 != 0)
    metrics.record_execution("search", 0.01, True)
    time.sleep(0.01)
"""
NAMES = {
    "service", "origin", "operation", "window", "covered", "rate", "p50", "p95", "p99",
    "p50_interval", "p95_interval", "p99_interval", "mean", "error_ratio", "time_share", "count",
    "cancelled",
}  # fmt: skip


def once(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PERFTUI, "once", "--seconds", "1", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def document(*arguments: str) -> dict[str, Any]:
    run = once("--json", *arguments)
    assert (run.returncode, run.stderr) == (0, "")
    found = json.loads(run.stdout, parse_constant=pytest.fail)
    assert isinstance(found, dict)
    return found


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    for row in found["operations"]:
        assert set(row) == NAMES
    return {row["operation"]: row for row in found["operations"]}


@contextmanager
def service(redis: RedisProcess) -> Iterator[None]:
    """Run a service that reports, from its second report on."""
    child = subprocess.Popen([sys.executable, "-c", SERVICE, redis.url])
    try:
        deadline = time.monotonic() + 20
        while not redis.client.zcard("perftui:services"):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        yield
    finally:
        child.kill()
        child.wait()


def test_a_service_that_reports(redis_server: RedisProcess) -> None:
    with service(redis_server):
        # Windows begin and end with slots of two seconds: the first has to be full.
        time.sleep(6)
        found = document("--redis", redis_server.url)
        text = once("--redis", redis_server.url).stdout
    operations = by_name(found)
    checkout, search = operations["checkout"], operations["search"]
    assert (checkout["service"], checkout["origin"]) == ("shop", "redis")
    assert checkout["mean"] == pytest.approx(0.03)
    assert checkout["error_ratio"] == pytest.approx(0.25, abs=0.02)
    assert checkout["time_share"] == pytest.approx(0.75, abs=0.01)
    assert search["error_ratio"] == 0
    assert 10 < checkout["rate"] < 101
    assert checkout["rate"] == pytest.approx(checkout["count"] / checkout["covered"], rel=0.01)
    for name in ("p50", "p95", "p99"):
        low, high = checkout[f"{name}_interval"]
        assert low <= checkout[name] <= high
        assert low <= 0.03 <= high
    (shop,) = found["services"]
    assert (shop["name"], shop["processes"], shop["hosts"]) == ("shop", 1, 1)
    assert shop["instances"][0]["state"] == "ok"
    assert "\n  shop, read from Redis, 1 process on 1 host, seen 0 s ago\n" in text
    assert "\n    checkout  " in text


def test_a_page_of_metrics() -> None:
    page = shop_page()
    try:
        url = f"http://{page.address}/metrics"
        found = document("--scrape", url)
        text = once("--scrape", url).stdout
    finally:
        page.close()
    operations = by_name(found)
    assert {"pay", "list"} <= set(operations)
    pay = operations["pay"]
    assert pay["origin"] == "scrape"
    assert pay["rate"] > 0
    assert pay["count"] > 0
    assert pay["p95_interval"][0] <= pay["p95"] <= pay["p95_interval"][1]
    assert operations["list"]["mean"] == pytest.approx(0.011)
    assert operations["list"]["error_ratio"] == 0
    (endpoint,) = found["scrape"]["endpoints"]
    assert (endpoint["address"], endpoint["state"]) == (url, "ok")
    assert f"{url} ok, service " in text


def test_a_page_that_is_not_there_is_named_with_the_fix() -> None:
    page = shop_page()
    gone = f"http://127.0.0.1:{free_port()}/metrics"
    try:
        arguments = ("--scrape", f"http://{page.address}/metrics", "--scrape", gone)
        found = document(*arguments)
        text = once(*arguments).stdout
    finally:
        page.close()
    assert "pay" in by_name(found)
    states = {endpoint["address"]: endpoint for endpoint in found["scrape"]["endpoints"]}
    assert states[gone]["state"] == "unavailable"
    assert states[gone]["reason"]
    assert states[gone]["fix"]
    lines = text.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith(f"  {gone} unavailable: "))
    assert lines[place + 1].startswith("    fix: ")


def test_a_prometheus_server_with_an_alert_of_its_own() -> None:
    page = shop_page()
    rule = (
        "groups: [{name: g, interval: 1s, rules: [{alert: AlwaysWrong, expr: 'up == 1', "
        "labels: {severity: page}, annotations: {summary: it is up}}]}]\n"
    )
    config = (
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: web, static_configs: [{{targets: ['{page.address}']}}]}}]\n"
    )
    try:
        with starting() as start_prometheus:
            server = start_prometheus(config, files={"rules.yml": rule})
            server.wait_for('ALERTS{alertstate="firing"}')
            server.wait_for("rate(operation_execution_time_seconds_count[4s]) > 0")
            run = once("--json", "--prometheus", server.url, "--fail-on", "critical")
            text = once("--prometheus", server.url).stdout
    finally:
        page.close()
    assert run.returncode == 3
    found = json.loads(run.stdout)
    operations = by_name(found)
    assert operations["pay"]["origin"] == "prometheus"
    assert operations["pay"]["rate"] > 0
    assert found["prometheus"]["targets_up"] == 1
    assert [alert["name"] for alert in found["prometheus"]["alerts"]] == ["AlwaysWrong"]
    alert = next(alert for alert in found["alerts"] if alert["origin"] == "prometheus")
    assert (alert["rule"], alert["severity"]) == ("AlwaysWrong", "critical")
    assert alert["threshold"] is None
    assert "AlwaysWrong: it is up (rule of prometheus)" in text
    assert "targets   1 up, 0 down" in text


def test_a_prometheus_server_that_is_not_there_is_named_with_the_fix() -> None:
    found = document("--prometheus", f"http://127.0.0.1:{free_port()}")
    assert found["prometheus"] is None
    assert found["states"]["prometheus"]["state"] == "unavailable"
    assert found["states"]["prometheus"]["fix"]
    assert found["operations"] == []
