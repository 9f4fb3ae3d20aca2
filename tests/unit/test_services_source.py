"""What services report, read back from a real Redis."""

from __future__ import annotations

import gc
import math
from typing import Any

import msgspec
import pytest
from redis_fixture import RedisProcess
from service_fleet import (
    FIVE_MINUTES,
    Fleet,
    counts,
    one,
    operation,
    ratio,
)

from perftui.metrics import report as reports
from perftui.metrics.report import CacheCounts
from perftui.snapshot import (
    Absent,
    Quantile,
    Selection,
)
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.server import RedisServerSource
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services import caches
from perftui.sources.services import process as service_process
from perftui.sources.services.source import ServicesSource
from perftui.sources.source import SelectingSource, SourceError


@pytest.fixture
def fleet(redis_server: RedisProcess) -> Fleet:
    return Fleet(redis_server)


@pytest.fixture
def source(redis_server: RedisProcess) -> ServicesSource:
    return ServicesSource(RedisTarget.parse(redis_server.url))


def test_no_services_is_an_empty_reading(source: ServicesSource) -> None:
    assert source.sample() == ()
    assert isinstance(source, SelectingSource)


def test_adds_up_the_processes_of_a_service(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(28, {"buy": (1000, 10, 50.0), "look": (5, 0, 1.0)}))
    fleet.publish(fleet.report(28, {"buy": (70, 0, 7.0)}, "h2:1:bb"))
    first = one(source)
    assert (first.name, first.processes, first.hosts) == ("shop", 2, ("h1", "h2"))
    assert counts(first) in ({}, {"buy": 0, "look": 0}), "lifetime totals say nothing about now"
    last = fleet.report(8, {"buy": (1020, 15, 54.0, 1000, 20, 0), "look": (5, 0, 1.0)})
    fleet.publish(last)
    fleet.publish(fleet.report(8, {"buy": (80, 0, 8.0), "new": (4, 4, 5.0, 0, 0, 4)}, "h2:1:bb"))
    service = one(source)
    buy, look, new = service.windows[FIVE_MINUTES].operations
    assert (buy.name, buy.count) == ("buy", 30)
    covered = service.windows[FIVE_MINUTES].covered
    assert covered == pytest.approx(24, abs=4)
    assert buy.rate == pytest.approx(30 / covered)
    assert buy.mean == pytest.approx(5.0 / 30)
    assert buy.error_ratio == pytest.approx(5 / 30)
    assert buy.time_share == pytest.approx(0.5)
    # Together 10 calls up to 0.1 s and 20 up to 1 s: the rank of p50 is 15.
    assert buy.p50 == Quantile(pytest.approx(0.1 + 0.9 * 5 / 20), 0.1, 1.0)
    assert (look.name, look.count, look.rate, look.time_share) == ("look", 0, 0.0, 0.0)
    assert isinstance(look.mean, Absent)
    assert (new.count, new.error_ratio, new.mean) == (4, 1.0, 1.25)
    assert new.p95 == Quantile(1.0, 1.0, math.inf)
    assert [window.seconds for window in service.windows] == [10.0, 60.0, 300.0]


def test_windows_of_different_lengths(fleet: Fleet, source: ServicesSource) -> None:
    # 100 calls a second until 30 s ago, one a second since.
    for ago in range(250, 1, -2):
        total = 100 * (250 - max(ago, 30)) + max(0, 30 - ago)
        fleet.publish(fleet.report(ago, {"buy": (total,)}))
        service = one(source)
    rates = [operation(service, "buy", window).rate for window in range(3)]
    assert rates[0] == pytest.approx(1.0, rel=0.01)
    assert 40 < rates[1] < 70
    assert 85 < rates[2] < 95
    assert [window.covered for window in service.windows[:2]] == [10.0, 60.0]
    assert operation(service, "buy").count == pytest.approx(22_000, abs=210)


def test_the_first_sample_tells_of_the_time_before(fleet: Fleet, source: ServicesSource) -> None:
    cache = CacheCounts(900, 100, 50, 50, 5, 500, 10)
    later = CacheCounts(990, 110, 50, 50, 5, 500, 30)
    fleet.publish(
        fleet.report(8, {"buy": (1030, 3, 33.0)}, caches={"app:": later}),
        before=fleet.report(23, {"buy": (1000, 0, 30.0)}, caches={"app:": cache}),
    )
    service = one(source)
    buy = operation(service, "buy")
    assert (buy.count, buy.mean, buy.error_ratio) == (30, pytest.approx(0.1), pytest.approx(0.1))
    memory = service.caches[0].tiers[0]
    assert ratio(memory) == pytest.approx(0.9)
    assert isinstance(memory.evictions_rate, float)
    assert 0.49 * 20 / 15 < memory.evictions_rate < 0.72 * 20 / 15


@pytest.mark.parametrize(
    "wrong",
    [
        {"started": 2.0},
        {"instance": "h1:2:cc"},
        {"version": 1},
        {"time": 9e12},
        {"uptime": 4000.0},
    ],
)
def test_a_report_before_that_does_not_belong_to_it(
    fleet: Fleet, source: ServicesSource, wrong: dict[str, Any]
) -> None:
    now = fleet.report(4, {"buy": (1030,)})
    before = msgspec.structs.replace(fleet.report(19, {"buy": (10,)}), **wrong)
    fleet.publish(now)
    fleet.server.client.set(reports.before_key(now.service, now.instance), reports.encode(before))
    assert counts(one(source)).get("buy", 0) == 0


def test_a_young_process_counts_from_zero(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(5, {"buy": (30,)}, uptime=12.0))
    service = one(source)
    assert counts(service) == {"buy": 30}
    assert service.windows[FIVE_MINUTES].covered == pytest.approx(12.0, abs=2.1)


def test_a_process_that_begins_later_counts_from_zero(fleet: Fleet, source: ServicesSource) -> None:
    source.sample()
    # It began 1 s after the first sample; then Redis was away for it for a long time. Redis' own
    # clock cannot be moved, so the report is one of the future.
    late = fleet.report(-300, {"buy": (30,)}, uptime=299.0)
    fleet.publish(late)
    process = service_process.ServiceProcess(b"shop/h1:1:aa", fleet.now())
    growth = process.take(service_process.read_report(reports.encode(late)), None, fleet.zero)
    assert growth is not None
    assert (growth.begin, growth.end) == (fleet.zero + 1.0, fleet.zero + 300.0)
    assert source.sample()[0].processes == 1


@pytest.mark.parametrize(
    "again",
    [
        {"started": 99.0, "uptime": 3.0},
        {"uptime": 3.0},
        {"started": 99.0, "uptime": 0.0},
        {},
    ],
    ids=["all", "uptime", "started", "counts"],
)
def test_a_process_that_began_again_counts_from_zero(
    fleet: Fleet, source: ServicesSource, again: dict[str, Any]
) -> None:
    cache = CacheCounts(900, 100, 50, 50, 5, 500, 0)
    fleet.publish(fleet.report(12, {"buy": (1000, 0, 50.0)}, caches={"app:": cache}))
    source.sample()
    new = CacheCounts(3, 1, 0, 1, 1, 100, 0)
    fleet.publish(fleet.report(8, {"buy": (8, 2, 4.0)}, caches={"app:": new}, **again))
    service = one(source)
    buy = operation(service, "buy")
    assert (buy.count, buy.mean, buy.error_ratio) == (8, 0.5, 0.25)
    assert ratio(service.caches[0].tiers[0]) == 0.75


def test_a_restart_with_more_calls_than_before(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(16, {"buy": (100,)}, uptime=50.0))
    source.sample()
    fleet.publish(fleet.report(8, {"buy": (500,)}, started=2.0, uptime=6.0))
    assert counts(one(source)) == {"buy": 500}


def test_one_operation_that_is_counted_anew_does_not_touch_the_others(
    fleet: Fleet, source: ServicesSource
) -> None:
    fleet.publish(fleet.report(12, {"buy": (1000,), "look": (70,)}))
    source.sample()
    fleet.publish(fleet.report(8, {"buy": (1005,), "look": (3,)}))
    assert counts(one(source)) == {"buy": 5, "look": 3}


def test_cache_tiers(fleet: Fleet, source: ServicesSource) -> None:
    none = CacheCounts(0, 0, 0, 0, 0, 0, 0)
    old = CacheCounts(5000, 5000, 0, 5000, 10, 900, 7)
    fleet.publish(fleet.report(28, caches={"app:": old}))
    fleet.publish(fleet.report(28, caches={"app:": none}, instance="h2:1:bb"))
    before = one(source).caches[0]
    assert isinstance(ratio(before.tiers[0]), Absent)
    # 100 look-ups: 80 in memory, 20 beyond it, of which 15 in Redis and one without an answer.
    new = CacheCounts(5040, 5010, 5, 5004, 12, 1200, 207)
    fleet.publish(fleet.report(8, caches={"app:": new}))
    more = CacheCounts(40, 10, 10, 0, 30, 3000, 0)
    fleet.publish(fleet.report(8, caches={"app:": more}, instance="h2:1:bb"))
    (app,) = one(source).caches
    memory, redis, overall = app.tiers
    assert app.namespace == "app:"
    assert (memory.tier, redis.tier, overall.tier) == ("memory", "redis", "overall")
    assert ratio(memory) == 0.80
    assert ratio(redis) == pytest.approx(15 / 19)
    assert ratio(overall) == pytest.approx(0.95)
    assert memory.hit_ratio.seconds_1000 == 0.80
    assert (memory.items, memory.size) == (42, 4200)
    # 200 evictions in 20 s; the last 10 s end a few seconds after the reports.
    assert isinstance(memory.evictions_rate, float)
    assert 4.9 < memory.evictions_rate < 7.2
    assert isinstance(redis.items, Absent)


@pytest.mark.parametrize("odd", [1 << 60, -1])
def test_impossible_counts_of_a_cache_cost_their_process_only(
    fleet: Fleet, source: ServicesSource, odd: int
) -> None:
    fine = CacheCounts(1, 1, 1, 1, 1, 1, 1)
    for ago in (12, 10):
        fleet.publish(fleet.report(ago, {"buy": (20 - ago,)}, caches={"a": fine}))
        if ago == 10:
            bad = msgspec.structs.replace(fine, memory_evictions=odd)
            fleet.publish(fleet.report(ago, {"buy": (9,)}, "h2:1:bb", caches={"a": bad}))
        service = one(source)
    assert counts(service) == {"buy": 2}
    assert [each.namespace for each in service.caches] == ["a"]
    assert any("cache 'a' has impossible counts" in note for note in service.notes)


def test_names_of_caches_that_never_end_stay_bounded(
    fleet: Fleet, source: ServicesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "MOST_NAMESPACES", 20)
    hits = CacheCounts(1, 1, 1, 1, 1, 1, 1)
    for ago in range(20, 0, -1):
        names = {f"cache {ago} {number}": hits for number in range(8)}
        fleet.publish(fleet.report(ago, {"buy": (100 - ago,)}, caches=names))
        service = one(source)
        assert len(service.caches) <= 8
    gc.collect()
    kept = [each for each in gc.get_objects() if type(each) is caches.CacheLookups]
    assert len(kept) <= 20
    # One of the newest is shown once there is room, so that no name is shut out for good.
    assert {each.namespace for each in one(source).caches} & set(names)


def test_processes_with_different_buckets(fleet: Fleet, source: ServicesSource) -> None:
    for ago, n in ((20, 0), (8, 1)):
        both = {"buy": (20 * n, 0, 0.0, 10 * n, 10 * n, 0)}
        fleet.publish(fleet.report(ago, both))
        other = {"buy": (20 * n, 0, 0.0, 10 * n, 5 * n, 5 * n, 0)}
        fleet.publish(fleet.report(ago, other, "h1:2:bb", bounds=(0.05, 0.1, 0.5)))
        service = one(source)
    buy = operation(service, "buy")
    assert buy.count == 40
    assert buy.p50 == Quantile(pytest.approx(0.1 * 20 / 25), 0.0, 0.1)


def test_a_clock_that_was_set_back_does_not_break_it(fleet: Fleet, source: ServicesSource) -> None:
    for ago, count in ((30, 10), (20, 20), (1000, 30), (990, 50)):
        fleet.publish(fleet.report(ago, {"buy": (count,)}))
        service = one(source)
        assert all(value >= 0 for window in range(3) for value in counts(service, window).values())
    assert service.processes == 1
    fleet.publish(fleet.report(8, {"buy": (60,)}))
    assert operation(one(source), "buy").rate >= 0
    # Somebody set the clock back after a process had died: it does not live until then.
    fleet.silence(-1800, "h2:1:bb")
    fleet.publish(fleet.report(-1800, {"buy": (60,)}, "h2:1:bb"), silent=-1800)
    assert one(source).processes == 1


def test_names_the_right_that_is_missing(fleet: Fleet) -> None:
    rights = ["+time", "~perftui:*"]
    server = fleet.server
    target = RedisTarget(scheme="unix", path=server.socket, username="ann", password="pw")
    fleet.publish(fleet.report(5))
    for command in ("ZREVRANGE", "MGET"):
        server.client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", *rights)
        with pytest.raises(SourceError) as caught:
            ServicesSource(target).sample()
        assert f"to run {command}" in caught.value.absent.reason
        rights.append(caught.value.absent.fix.split()[-1])
    server.client.execute_command("ACL", "SETUSER", "ann", *rights)
    assert len(ServicesSource(target).sample()) == 1


def test_counts_its_own_lookups(fleet: Fleet, source: ServicesSource) -> None:
    client = fleet.server.client
    target = RedisTarget.parse(fleet.server.url)
    hits, misses = own_lookups(target).counts
    # Two with an older report to be looked for, of which one exists; one whose report is gone.
    fleet.publish(fleet.report(5), before=fleet.report(20))
    fleet.publish(fleet.report(5, instance="h1:2:bb"))
    fleet.publish(fleet.report(5, instance="gone:1:cc"))
    fleet.publish(fleet.report(5, instance="h1:3:dd", ended=True))
    client.delete(reports.report_key("shop", "gone:1:cc"))
    client.config_resetstat()
    source.sample()
    source.select(Selection(hosts=("h1",)))
    source.sample()
    client.delete(reports.INDEX_KEY)
    source.sample()
    info = client.info("stats")
    now_hits, now_misses = own_lookups(target).counts
    assert info["keyspace_hits"] == now_hits - hits > 6
    assert info["keyspace_misses"] == now_misses - misses > 3


def test_watching_services_leaves_the_servers_ratio_alone(
    fleet: Fleet, source: ServicesSource
) -> None:
    target = RedisTarget.parse(fleet.server.url)
    server = RedisServerSource(target)
    fleet.publish(fleet.report(5))
    server.sample()
    for _ in range(5):
        source.sample()
    fleet.server.client.get("gone")
    assert server.sample().hit_ratio.seconds_10 == 0.0
    server.close()
    source.close()
