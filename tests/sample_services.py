"""Services as the sources tell of them, with fixed numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perftui.snapshot import (
    Absent,
    CacheNamespace,
    CacheTier,
    Endpoint,
    HitRatio,
    Instance,
    InstanceShare,
    Maybe,
    Operation,
    OperationDetail,
    OperationWindow,
    Prometheus,
    Quantile,
    Scrape,
    Service,
    State,
    StatusCount,
)

NOT_CALLED = Absent(State.NOT_COLLECTED, "not called in this window")
NO_BUCKETS = Absent(State.NOT_COLLECTED, "the service exposes no histogram buckets")
NO_STATUS = Absent(State.NOT_COLLECTED, "the service does not tell failed calls apart")
NOT_TOLD = Absent(State.NOT_COLLECTED, "this tier does not tell")

WINDOWS = (10.0, 60.0, 300.0)
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HOSTILE_OPERATION = "GET /[/x]/\x1b[31m名前\n"


def near(value: float, ratio: float = 1.4) -> Quantile:
    """Return a quantile from a narrow bucket around it."""
    return Quantile(value, value / math.sqrt(ratio), value * math.sqrt(ratio))


def operation(
    name: str,
    rate: float,
    mean: float,
    share: float,
    errors: Maybe[float] = 0.0,
    seconds: float = 10.0,
) -> Operation:
    """Return an operation whose quantiles follow from its mean."""
    return Operation(
        name, rate, mean, near(0.8 * mean), near(1.9 * mean), near(2.6 * mean), errors, share,
        round(rate * seconds),
    )  # fmt: skip


def silent_operation(name: str) -> Operation:
    """Return an operation that was not called in its window."""
    return Operation(name, 0.0, NOT_CALLED, NOT_CALLED, NOT_CALLED, NOT_CALLED, NOT_CALLED, 0.0, 0)


def windows(operations: Sequence[Operation], covered: float = math.inf) -> tuple[
    OperationWindow, ...
]:  # fmt: skip
    """Return all windows with the same operations, watched for `covered` seconds."""
    return tuple(
        OperationWindow(seconds, min(seconds, covered), tuple(operations)) for seconds in WINDOWS
    )


def shop_operations(seconds: float = 10.0) -> tuple[Operation, ...]:
    """Return what the shop does: all sorts of numbers, one wide bucket, one beyond all buckets."""
    return (
        operation("checkout", 12.0, 0.412, 0.60, 0.062, seconds),
        operation("product", 80.0, 0.012, 0.12, 0.0, seconds),
        operation("search", 20.0, 0.031, 0.08, 0.021, seconds),
        Operation("report", 4.0, 0.3, Quantile(0.15, 0.1, 0.25), Quantile(0.87, 0.5, 1.0),
                  Quantile(10.0, 10.0, math.inf), 0.0, 0.14, 40),
        Operation("price", 310.0, 0.00021, Quantile(0.0005, 0.0, 0.001),
                  Quantile(0.00095, 0.0, 0.001), Quantile(0.00099, 0.0, 0.001), NO_STATUS, 0.01,
                  3100, 2),
        Operation(HOSTILE_OPERATION, 4.4, 0.22, NO_BUCKETS, NO_BUCKETS, NO_BUCKETS, 0.0, 0.05, 44),
        silent_operation("refund"),
    )  # fmt: skip


def checkout_detail(seconds: float, instances: Maybe[int] = 4) -> OperationDetail:
    """Return the detail of the shop's slowest operation in one window."""
    shares: Maybe[tuple[InstanceShare, ...]]
    if isinstance(instances, Absent):
        shares = instances
    else:
        shares = tuple(
            InstanceShare(f"web-{n % 2 + 1}:{101 + n}", operation(
                "checkout", 3.0, 0.3 + 0.1 * n, 0.25, 0.0 if n else 0.25
            ))
            for n in range(instances)
        )  # fmt: skip
    return OperationDetail(
        operation="checkout",
        seconds=seconds,
        bounds=BOUNDS,
        buckets=(0, 0, 0, 0, 0, 2, 11, 38, 51, 14, 3, 0, 0, 1),
        statuses=(StatusCount("success", 113, 11.3), StatusCount("failure", 7, 0.7)),
        instances=shares,
        covered=4.0,
    )


def shop_instances() -> tuple[Instance, ...]:
    """Return three live processes on two hosts and one that has been silent for long."""
    return (
        Instance("web-1:101", "web-1", 101, State.OK, 0.8, 80_000.0, 88.5, 212_000_000),
        Instance("web-2:102", "web-2", 102, State.OK, 0.9, 79_000.0, 12.0, 190_000_000,
                 "its clock is 1h 0m behind"),
        Instance("web-1:103", "web-1", 103, State.OK, 1.1, 78_000.0, 14.0, 201_000_000),
        Instance("web-2:104", "web-2", 104, State.STALE, 75.0, 71_000.0, 9.0, 150_000_000,
                 "killed or hung: no report for 1m 15s"),
    )  # fmt: skip


def shop() -> Service:
    """Return a service that reports, with caches, a silent process and details of checkout."""
    return Service(
        name="shop",
        processes=3,
        hosts=("web-1", "web-2"),
        last_seen=0.8,
        windows=tuple(
            OperationWindow(seconds, seconds, shop_operations(seconds)) for seconds in WINDOWS
        ),
        caches=(
            CacheNamespace(
                "shop:price",
                (
                    CacheTier("memory", HitRatio(0.912, 0.908, 0.91), 1000, 12_000_000, 3.0),
                    CacheTier("redis", HitRatio(0.42, 0.5, 0.61), NOT_TOLD, NOT_TOLD, NOT_TOLD),
                    CacheTier("overall", HitRatio(0.971, 0.973, 0.973), NOT_TOLD, NOT_TOLD,
                              NOT_TOLD),
                ),
            ),
        ),
        instances=shop_instances(),
        details=tuple(checkout_detail(seconds) for seconds in WINDOWS),
    )  # fmt: skip


def scraped() -> Scrape:
    """Return a page that is read and two that are not."""
    stock = Service(
        name="stock",
        processes=1,
        hosts=("stock-1",),
        last_seen=1.2,
        windows=windows((operation("reserve", 6.0, 0.044, 1.0),)),
        instances=(
            Instance("stock-1:9000", "stock-1", NOT_TOLD, State.OK, 1.2, 5000.0, 3.0, 90_000_000),
        ),
        origin="scrape",
    )
    return Scrape(
        endpoints=(
            Endpoint("http://stock-1:9000/metrics", "stock", State.OK, "", "", 1.2, 48_000, 210,
                     0.011),
            Endpoint("http://stock-2:9000/metrics", "stock", State.UNAVAILABLE,
                     "http://stock-2:9000/metrics refused the connection",
                     "curl http://stock-2:9000/metrics", None, NOT_TOLD, NOT_TOLD, NOT_TOLD),
            Endpoint("http://pay:8000/metrics", "pay", State.UNAVAILABLE,
                     "http://pay:8000/metrics sent more than 16 MB", "raise scrape.size_limit",
                     None, NOT_TOLD, NOT_TOLD, NOT_TOLD),
        ),
        services=(stock,),
    )  # fmt: skip


def fleet() -> Prometheus:
    """Return what a Prometheus server knows; its shortest window is a minute."""
    fleet_windows = windows((operation("pay", 44.0, 0.071, 1.0, 0.004),))[1:]
    return Prometheus(
        address="http://prometheus:9090",
        version="2.42.0",
        services=(Service("pay", 12, ("pay-1", "pay-2"), 4.0, fleet_windows, origin="prometheus"),),
        alerts=(),
        targets_up=12,
        targets_down=1,
        notes=("1 target is down: pay-3:8000",),
    )


def many(count: int, tick: int = 0) -> Service:
    """Return a service with `count` operations whose numbers move a little with `tick`."""
    operations = []
    total = sum(1 / (n + 1) for n in range(count))
    for n in range(count):
        wobble = 1 + 0.04 * math.sin(tick * 1.7 + n)
        operations.append(
            operation(f"GET /resource/{n:03}/{{id}}", 40 * wobble / (n + 1), 0.02 * wobble,
                      wobble / (n + 1) / total)
        )  # fmt: skip
    return Service("fleet", 16, ("web-1",), 1.0, windows(operations))
