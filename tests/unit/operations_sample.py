"""Services of all three origins with fixed numbers, for tests of the outputs."""

from __future__ import annotations

import math

from perftui.snapshot import (
    Absent,
    Alert,
    Endpoint,
    Instance,
    Operation,
    OperationWindow,
    Prometheus,
    Quantile,
    Scrape,
    ServerAlert,
    Service,
    Severity,
    Snapshot,
    SourceStatus,
    State,
)

IDLE = Absent(State.NOT_COLLECTED, "not called in this window")
NO_STATUS = Absent(State.NOT_COLLECTED, "the service does not tell failed calls apart")
REFUSED = Absent(State.UNAVAILABLE, "http://b:80/metrics refused the connection", "start it")

CHECKOUT = Operation(
    "checkout", 12.0, 0.412, Quantile(0.4, 0.35, 0.5), Quantile(0.7, 0.5, 1.0),
    Quantile(16.0, 16.0, math.inf), 0.01, 0.8, 120, 3,
)  # fmt: skip
SEARCH = Operation(
    "search", 80.0, 0.031, Quantile(0.03, 0.028, 0.04), Quantile(0.041, 0.04, 0.05),
    Quantile(0.048, 0.04, 0.05), 0.0, 0.2, 800,
)  # fmt: skip
UNUSED = Operation("unused", 0.0, IDLE, IDLE, IDLE, IDLE, IDLE, 0.0, 0)


def shop() -> Service:
    """Return a service that reports: three windows, two live processes and one that fell silent."""
    return Service(
        "shop", 2, ("web-01", "web-02"), 0.8,
        windows=(
            OperationWindow(10.0, 10.0, (CHECKOUT, SEARCH, UNUSED)),
            OperationWindow(60.0, 40.0, (CHECKOUT,)),
            OperationWindow(300.0, 40.0, (SEARCH,)),
        ),
        instances=(
            Instance("w1", "web-01", 11, State.OK, 0.8, 90.0, 40.0, 50_000_000),
            Instance("w2", "web-02", 12, State.OK, 1.1, 90.0, 41.0, 51_000_000),
            Instance("w3", "web-02", 13, State.STALE, 75.0, IDLE, IDLE, IDLE, "its clock is off"),
        ),
        notes=("2 reports could not be read",),
    )  # fmt: skip


def scraped() -> Scrape:
    """Return one page that tells of a service and one that cannot be read."""
    window = OperationWindow(
        10.0, 4.0, (Operation("GET /x", 1.0, 0.01, IDLE, IDLE, IDLE, NO_STATUS, 1.0, 4),)
    )
    return Scrape(
        (
            Endpoint("http://a:80/metrics", "web", State.OK, "", "", 0.5, 30_000, 210, 0.004,
                     ("a counter went back: several workers answer by turns",)),
            Endpoint("http://b:80/metrics", "b:80", State.UNAVAILABLE, REFUSED.reason,
                     REFUSED.fix, None, REFUSED, REFUSED, REFUSED),
        ),
        (Service("web", 1, ("a",), 0.5, (window,), origin="scrape"),),
    )  # fmt: skip


def server_alert(severity: str = "page", **labels: str) -> ServerAlert:
    """Return an alert of a Prometheus server."""
    return ServerAlert(
        "ErrorsHigh", severity, tuple(labels.items()), "5 % of the calls fail",
        "https://runbooks/errors", 1_699_999_000.0, 0.05,
    )  # fmt: skip


def prometheus() -> Prometheus:
    """Return a server that knows one service in longer windows, with one alert."""
    return Prometheus(
        "http://prom:9090/p", "2.42.0",
        (Service("fleet", 40, (), 3.0, (OperationWindow(60.0, 60.0, (SEARCH,)),
                                        OperationWindow(300.0, 300.0, (SEARCH,))),
                 origin="prometheus"),),
        (server_alert(job="fleet", instance="f1:80", operation="search"),),
        11, 1, ("partial answer: one store is missing",),
    )  # fmt: skip


def everywhere() -> Snapshot:
    """Return a snapshot with services of all origins."""
    return Snapshot(
        1,
        1_700_000_000.0,
        50.0,
        services=(shop(),),
        scrape=scraped(),
        prometheus=prometheus(),
        alerts=(
            Alert("ErrorsHigh", Severity.CRITICAL, "fleet", 0.05, IDLE, "", 1_699_999_000.0,
                  "ErrorsHigh: 5 % of the calls fail", "https://runbooks/errors", "operations",
                  "prometheus"),
        ),
        sources=(
            SourceStatus("services", State.OK, "", "", 0.1, 0.01, 2.0, 0, 5),
            SourceStatus("scrape", State.STALE, "scrape: no answer for 12 s", "", 12.0, 0.5, 2.0,
                         2, 5),
        ),
    )  # fmt: skip
