"""What services report, read back from a real Redis."""

from __future__ import annotations

import msgspec
import pytest
from redis_fixture import RedisProcess

from perftui.metrics import report as reports
from perftui.metrics.report import CacheCounts, OperationCounts, ServiceReport
from perftui.snapshot import Absent, CacheTier, Maybe, Service
from perftui.sources.own_lookups import own_lookups
from perftui.sources.redis_server import RedisServerSource
from perftui.sources.redis_target import RedisTarget
from perftui.sources.services import ServicesSource
from perftui.sources.source import SourceError


def _now(server: RedisProcess) -> float:
    seconds, micros = server.client.time()
    return int(seconds) + int(micros) / 1e6


def _publish(
    server: RedisProcess,
    report: ServiceReport,
    payload: bytes | None = None,
    age: float = 0.0,
) -> None:
    member = f"{report.service}/{report.instance}"
    server.client.zadd(reports.INDEX_KEY, {member: _now(server) - age})
    server.client.set(
        reports.report_key(report.service, report.instance),
        payload if payload is not None else reports.encode(report),
    )


def _report(
    time: float,
    operations: dict[str, tuple[int, int, float]] | None = None,
    caches: dict[str, CacheCounts] | None = None,
    instance: str = "h1:1",
    started: float = 1.0,
    service: str = "shop",
) -> ServiceReport:
    return ServiceReport(
        service=service,
        instance=instance,
        host=instance.partition(":")[0],
        pid=1,
        started=started,
        time=time,
        operations={name: OperationCounts(*counts) for name, counts in (operations or {}).items()},
        caches=caches or {},
    )


@pytest.fixture
def source(redis_server: RedisProcess) -> ServicesSource:
    return ServicesSource(RedisTarget.parse(redis_server.url))


def _one(source: ServicesSource) -> Service:
    services = source.sample()
    assert len(services) == 1
    return services[0]


def _ratio(tier: CacheTier) -> Maybe[float]:
    return tier.hit_ratio.seconds_10


def test_no_services_is_an_empty_reading(source: ServicesSource) -> None:
    assert source.sample() == ()


def test_adds_up_the_processes_of_a_service(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    _publish(redis_server, _report(100.0, {"buy": (1000, 10, 50.0), "look": (5, 0, 1.0)}))
    _publish(redis_server, _report(101.0, {"buy": (70, 0, 7.0)}, instance="h2:1"))
    first = _one(source)
    assert (first.name, first.processes, first.hosts) == ("shop", 2, 2)
    assert first.operations == (), "lifetime totals say nothing about now"
    _publish(redis_server, _report(102.0, {"buy": (1020, 15, 54.0), "look": (5, 0, 1.0)}))
    _publish(
        redis_server, _report(103.0, {"buy": (80, 0, 8.0), "new": (4, 4, 5.0)}, instance="h2:1")
    )
    buy, look, new = _one(source).operations
    assert (buy.name, buy.count) == ("buy", 30)
    assert buy.rate == pytest.approx(20 / 2 + 10 / 2)
    assert buy.mean == pytest.approx(5.0 / 30)
    assert buy.error_ratio == pytest.approx(5 / 30)
    assert buy.time_share == pytest.approx(0.5)
    assert (look.name, look.count, look.rate, look.time_share) == ("look", 0, 0.0, 0.0)
    assert (new.count, new.error_ratio, new.mean) == (4, 1.0, 1.25)


def test_the_window_is_ten_seconds(redis_server: RedisProcess, source: ServicesSource) -> None:
    for step in range(20):
        calls = 1000 * min(step, 10) + 2 * step  # 500 a second, then 1 a second
        _publish(redis_server, _report(100.0 + 2 * step, {"buy": (calls, 0, 0.0)}))
        service = _one(source)
    assert service.operations[0].rate == pytest.approx(1.0)
    assert service.operations[0].count == 10


@pytest.mark.parametrize("started", [1.0, 103.0])
def test_a_process_that_began_again_counts_from_zero(
    redis_server: RedisProcess, source: ServicesSource, started: float
) -> None:
    cache = CacheCounts(900, 100, 50, 50, 5, 500, 0)
    _publish(redis_server, _report(100.0, {"buy": (1000, 0, 50.0)}, {"app:": cache}))
    source.sample()
    again = CacheCounts(3, 1, 0, 1, 1, 100, 0)
    report = _report(104.0, {"buy": (8, 2, 4.0)}, {"app:": again}, started=started)
    _publish(redis_server, report)
    service = _one(source)
    (buy,) = service.operations
    assert (buy.count, buy.rate, buy.mean, buy.error_ratio) == (8, 2.0, 0.5, 0.25)
    memory = service.caches[0].tiers[0]
    assert _ratio(memory) == 0.75


def test_cache_tiers(redis_server: RedisProcess, source: ServicesSource) -> None:
    none = CacheCounts(0, 0, 0, 0, 0, 0, 0)
    old = CacheCounts(5000, 5000, 0, 5000, 10, 900, 7)
    _publish(redis_server, _report(100.0, {}, {"app:": old}))
    _publish(redis_server, _report(100.0, {}, {"app:": none}, instance="h2:1"))
    before = _one(source).caches[0]
    assert isinstance(_ratio(before.tiers[0]), Absent)
    # 100 look-ups: 80 in memory, 20 beyond it, of which 15 in Redis and one without an answer.
    new = CacheCounts(5040, 5010, 5, 5004, 12, 1200, 27)
    _publish(redis_server, _report(102.0, {}, {"app:": new}))
    more = CacheCounts(40, 10, 10, 0, 30, 3000, 0)
    _publish(redis_server, _report(102.0, {}, {"app:": more}, instance="h2:1"))
    (app,) = _one(source).caches
    memory, redis, overall = app.tiers
    assert (app.namespace, memory.tier, redis.tier, overall.tier) == (
        "app:",
        "memory",
        "redis",
        "overall",
    )
    assert _ratio(memory) == 0.80
    assert _ratio(redis) == pytest.approx(15 / 19)
    assert _ratio(overall) == pytest.approx(0.95)
    assert memory.hit_ratio.seconds_1000 == 0.80
    assert (memory.items, memory.size) == (42, 4200)
    assert memory.evictions_rate == 10.0
    assert isinstance(redis.items, Absent)


def test_silent_processes_do_not_count(redis_server: RedisProcess, source: ServicesSource) -> None:
    for time, calls in ((100.0, 0), (102.0, 20)):
        _publish(redis_server, _report(time, {"buy": (calls, 0, 0.0)}))
        _publish(redis_server, _report(time, {"buy": (calls, 0, 0.0)}, instance="h2:1"), age=5.0)
        source.sample()
    assert _one(source).operations[0].rate == 20.0
    redis_server.client.zadd(reports.INDEX_KEY, {"shop/h2:1": _now(redis_server) - 8})
    service = _one(source)
    assert (service.processes, service.hosts) == (1, 1)
    assert service.operations[0].rate == 10.0
    # All silent: the service stays in view, with its age and without numbers.
    redis_server.client.delete(reports.report_key("shop", "h1:1"))
    redis_server.client.zadd(reports.INDEX_KEY, {"shop/h1:1": _now(redis_server) - 60})
    service = _one(source)
    assert (service.processes, service.operations, service.caches) == (0, (), ())
    assert 7 < service.last_seen < 20
    for member in ("shop/h1:1", "shop/h2:1"):
        redis_server.client.zadd(reports.INDEX_KEY, {member: _now(redis_server) - 3601})
    assert source.sample() == ()
    assert redis_server.client.zcard(reports.INDEX_KEY) == 2, "a monitor does not write"


def test_names_a_service_that_stopped_before_the_monitor_began(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    redis_server.client.zadd(reports.INDEX_KEY, {b"a/b\xff/h:1": _now(redis_server) - 100})
    assert _one(source).name == "a/b\\xff"


def test_unreadable_reports_are_left_out_and_told(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    _publish(redis_server, _report(100.0, {"buy": (1, 0, 0.0)}))
    newer = msgspec.structs.replace(_report(100.0, instance="h2:2"), version=99)
    _publish(redis_server, newer)
    _publish(redis_server, _report(100.0, instance="h3:3"), payload=b"\xc1 rubbish")
    infinite = _report(100.0, {"buy": (1, 0, float("nan"))}, instance="h4:4")
    _publish(redis_server, infinite)
    service = _one(source)
    assert service.processes == 1
    assert source.note.startswith("3 service reports could not be read: ")
    _publish(redis_server, _report(102.0, instance="h2:2"))
    assert _one(source).processes == 2
    assert source.note.startswith("2 service reports ")


def test_only_unreadable_reports_is_an_error(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    _publish(redis_server, msgspec.structs.replace(_report(100.0), version=99))
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert "report version 99" in caught.value.absent.reason
    assert "same version" in caught.value.absent.fix


def test_a_clock_that_was_set_back_does_not_break_it(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    for time, calls in ((1000.0, 10), (1002.0, 20), (900.0, 30), (902.0, 50)):
        _publish(redis_server, _report(time, {"buy": (calls, 0, 0.0)}))
        service = _one(source)
    assert service.operations[0].rate == 10.0


def test_names_the_right_that_is_missing(redis_server: RedisProcess) -> None:
    rights = ["+time", "~perftui:*"]
    target = RedisTarget(scheme="unix", path=redis_server.socket, username="ann", password="pw")
    _publish(redis_server, _report(100.0))
    for command in ("ZREVRANGE", "MGET"):
        redis_server.client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", *rights)
        with pytest.raises(SourceError) as caught:
            ServicesSource(target).sample()
        assert f"to run {command}" in caught.value.absent.reason
        rights.append(caught.value.absent.fix.split()[-1])
    redis_server.client.execute_command("ACL", "SETUSER", "ann", *rights)
    assert len(ServicesSource(target).sample()) == 1


def test_counts_its_own_lookups(redis_server: RedisProcess, source: ServicesSource) -> None:
    target = RedisTarget.parse(redis_server.url)
    hits, misses = own_lookups(target).counts
    _publish(redis_server, _report(100.0))
    _publish(redis_server, _report(100.0, instance="gone:1"))
    redis_server.client.delete(reports.report_key("shop", "gone:1"))
    redis_server.client.config_resetstat()
    source.sample()
    redis_server.client.delete(reports.INDEX_KEY)
    source.sample()
    info = redis_server.client.info("stats")
    now_hits, now_misses = own_lookups(target).counts
    assert info["keyspace_hits"] == now_hits - hits == 2
    assert info["keyspace_misses"] == now_misses - misses == 2


def test_watching_services_leaves_the_servers_ratio_alone(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    target = RedisTarget.parse(redis_server.url)
    server = RedisServerSource(target)
    _publish(redis_server, _report(100.0))
    server.sample()
    for _ in range(5):
        source.sample()
    redis_server.client.get("gone")
    assert server.sample().hit_ratio.seconds_10 == 0.0
    server.close()
    source.close()
