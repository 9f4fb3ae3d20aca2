"""Chosen hosts, and one operation of a service in detail."""

from __future__ import annotations

import threading

import pytest
from redis_fixture import RedisProcess
from service_fleet import (
    BOUNDS,
    FIVE_MINUTES,
    Fleet,
    counts,
    one,
)

from perftui.metrics.report import OperationCounts
from perftui.snapshot import (
    Absent,
    Selection,
    Service,
)
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.source import ServicesSource


@pytest.fixture
def fleet(redis_server: RedisProcess) -> Fleet:
    return Fleet(redis_server)


@pytest.fixture
def source(redis_server: RedisProcess) -> ServicesSource:
    return ServicesSource(RedisTarget.parse(redis_server.url))


def test_chosen_hosts(fleet: Fleet, source: ServicesSource) -> None:
    def publish(ago: float, n: int) -> Service:
        for host, weight in (("h1", 1), ("h2", 10), ("h3", 100)):
            fleet.publish(
                fleet.report(ago, {"buy": (n * weight,)}, f"{host}:1:aa"),
                before=fleet.report(ago + 15, {"buy": ((n - 1) * weight,)}, f"{host}:1:aa"),
            )
        return one(source)

    service = publish(30, 2)
    assert (service.chosen_hosts, service.chosen) == ((), ())
    publish(20, 4)
    source.select(Selection(hosts=("h1", "h3")))
    service = one(source)
    # What has just been chosen begins with the report that was kept for this.
    assert service.chosen_hosts == ("h1", "h3")
    assert operation_of(service, "buy") == 101
    assert counts(service) == {"buy": 111 + 222}
    service = publish(8, 9)
    assert operation_of(service, "buy") == 101 * 6
    assert counts(service) == {"buy": 111 * 8}
    source.select(Selection(hosts=("h2",)))
    assert operation_of(publish(7, 10), "buy") == 10
    source.select(Selection(hosts=("nowhere",)))
    service = one(source)
    assert (service.chosen_hosts, service.chosen) == (("nowhere",), ())
    source.select(Selection())
    assert (one(source).chosen_hosts, one(source).chosen) == ((), ())


def operation_of(service: Service, name: str) -> int:
    return {each.name: each.count for each in service.chosen[FIVE_MINUTES].operations}[name]


def test_details_of_one_operation(fleet: Fleet, source: ServicesSource) -> None:
    def publish(ago: float, n: int) -> Service:
        fast = OperationCounts(10 * n, n, 1.0 * n, (8 * n, 2 * n, 0), 3 * n)
        slow = OperationCounts(30 * n, 0, 30.0 * n, (0, 20 * n, 10 * n))
        fleet.publish(fleet.report(ago, {"buy": fast, "look": (7 * n,)}))
        fleet.publish(fleet.report(ago, {"buy": slow}, "h2:1:bb"))
        fleet.publish(fleet.report(ago, {"idle": (0,)}, "h3:1:cc"))
        return one(source)

    assert publish(40, 0).details == ()
    source.select(Selection(operation=("shop", "buy")))
    service = publish(30, 1)
    detail = service.details[FIVE_MINUTES]
    assert [each.seconds for each in service.details] == [10.0, 60.0, 300.0]
    assert (detail.operation, detail.bounds, detail.buckets) == ("buy", BOUNDS, (8, 22, 10))
    assert [(each.status, each.count) for each in detail.statuses] == [
        ("success", 39),
        ("failure", 1),
        ("cancelled", 3),
    ]
    assert detail.statuses[1].rate == pytest.approx(1 / service.windows[FIVE_MINUTES].covered)
    service = publish(8, 3)
    detail = service.details[FIVE_MINUTES]
    assert detail.buckets == (24, 66, 30)
    assert not isinstance(detail.instances, Absent)
    shares = {share.instance: share.operation for share in detail.instances}
    assert [share.operation.name for share in detail.instances] == ["buy"] * 3
    # There was no older report of them when the operation was chosen.
    assert {name: share.count for name, share in shares.items()} == {
        "h1:1:aa": 30,
        "h2:1:bb": 90,
        "h3:1:cc": 0,
    }
    assert shares["h2:1:bb"].mean == pytest.approx(1.0)
    assert shares["h2:1:bb"].time_share == pytest.approx(90 / 93)
    assert detail.covered == pytest.approx(36, abs=2.5)
    source.select(Selection(hosts=("h2",), operation=("shop", "buy")))
    assert one(source).details[FIVE_MINUTES].covered < 8
    service = publish(6, 4)
    assert service.details[FIVE_MINUTES].buckets == (0, 20, 10)
    assert counts(service)["buy"] == 160
    source.select(Selection(operation=("shop", "idle")))
    service = publish(5, 4)
    assert service.details[0].buckets == (0, 0, 0)
    for nothing in (Selection(operation=("shop", "gone")), Selection(operation=("x", "buy"))):
        source.select(nothing)
        assert publish(4, 4).details == ()


def test_the_processes_are_apart_only_from_the_choice_on(
    fleet: Fleet, source: ServicesSource
) -> None:
    for ago, count in ((20, 0), (8, 30), (0, 50)):
        fleet.publish(fleet.report(ago, {"buy": (count,)}))
        source.sample()
    source.select(Selection(operation=("shop", "buy")))
    detail = one(source).details[FIVE_MINUTES]
    assert sum(detail.buckets) >= 30
    assert isinstance(detail.instances, Absent)
    assert detail.covered == 0.0


def test_choosing_an_operation_does_not_touch_the_chosen_hosts(
    fleet: Fleet, source: ServicesSource
) -> None:
    source.select(Selection(hosts=("h1",)))
    before = fleet.report(24, {"buy": (100,)})
    fleet.publish(fleet.report(10, {"buy": (130,)}), before=before)
    assert operation_of(one(source), "buy") == 30
    source.select(Selection(hosts=("h1",), operation=("shop", "buy")))
    service = one(source)
    assert operation_of(service, "buy") == 30
    shares = service.details[FIVE_MINUTES].instances
    assert not isinstance(shares, Absent)
    assert [(share.instance, share.operation.count) for share in shares] == [("h1:1:aa", 30)]


def test_selecting_while_samples_run(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(8, {"buy": (130,)}), before=fleet.report(24, {"buy": (100,)}))
    stop = threading.Event()

    def choose() -> None:
        while not stop.is_set():
            for hosts in ((), ("h1",), ("h1", "h2")):
                source.select(Selection(hosts=hosts, operation=("shop", "buy")))

    chooser = threading.Thread(target=choose)
    chooser.start()
    try:
        for _ in range(50):
            service = one(source)
            assert counts(service) == {"buy": 30}
            if service.chosen_hosts:
                assert operation_of(service, "buy") == 30
    finally:
        stop.set()
        chooser.join()
