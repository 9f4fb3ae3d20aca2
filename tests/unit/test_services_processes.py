"""The processes of services: silent, gone, unreadable, or too many."""

from __future__ import annotations

import math

import msgspec
import pytest
from redis_fixture import RedisProcess
from service_fleet import (
    Fleet,
    counts,
    instance,
    one,
)

from perftui.metrics import report as reports
from perftui.metrics.report import ResourceUse
from perftui.snapshot import (
    Absent,
    State,
)
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services import notes as service_notes
from perftui.sources.services import totals as service_totals
from perftui.sources.services.source import ServicesSource
from perftui.sources.source import SourceError


@pytest.fixture
def fleet(redis_server: RedisProcess) -> Fleet:
    return Fleet(redis_server)


@pytest.fixture
def source(redis_server: RedisProcess) -> ServicesSource:
    return ServicesSource(RedisTarget.parse(redis_server.url))


def test_silent_processes_do_not_count(fleet: Fleet, source: ServicesSource) -> None:
    for ago, count in ((12, 0), (8, 20)):
        fleet.publish(fleet.report(ago, {"buy": (count,)}))
        fleet.publish(fleet.report(ago, {"buy": (count,)}, "h2:1:bb"), silent=5.0)
        source.sample()
    assert counts(one(source)) == {"buy": 40}
    fleet.silence(8, "h2:1:bb")
    service = one(source)
    assert (service.processes, service.hosts) == (1, ("h1",))
    assert counts(service) == {"buy": 40}, "what it counted stays in the window"
    dead, alive = instance(service, "h2:1:bb"), instance(service, "h1:1:aa")
    assert service.instances == (alive, dead)
    assert (dead.state, alive.state) == (State.STALE, State.OK)
    assert 8 <= dead.last_seen < 20
    assert isinstance(dead.memory_rss, Absent)
    # All silent: the service stays in view, with its age, and zeros are told of nobody.
    fleet.silence(60)
    service = one(source)
    assert (service.processes, service.caches, service.hosts) == (0, (), ())
    assert counts(service, 0).get("buy") != 0
    for member in ("h1:1:aa", "h2:1:bb"):
        fleet.silence(3601, member)
    source = ServicesSource(RedisTarget.parse(fleet.server.url))
    assert source.sample() == ()
    assert fleet.server.client.zcard(reports.INDEX_KEY) == 2, "a monitor does not write"


def test_a_process_that_goes_on_after_a_silence(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(60, {"buy": (1000,)}))
    source.sample()
    fleet.silence(50)
    assert one(source).processes == 0
    fleet.publish(fleet.report(8, {"buy": (1052,)}))
    service = one(source)
    assert (service.processes, counts(service)) == (1, {"buy": 52})
    fleet.server.client.delete(reports.INDEX_KEY)
    source.sample()
    # Redis came back empty: nothing is counted twice, and nothing gets lost.
    fleet.publish(fleet.report(6, {"buy": (1054,)}))
    assert counts(one(source)) == {"buy": 54}


def test_a_process_that_was_silent_for_long_is_one_that_has_just_come(
    fleet: Fleet, source: ServicesSource
) -> None:
    fleet.publish(fleet.report(8, {"buy": (1000,)}))
    source.sample()
    fleet.silence(400)
    assert one(source).instances[0].pid == 1
    fleet.publish(fleet.report(6, {"buy": (2000,)}))
    assert counts(one(source)).get("buy", 0) == 0
    fleet.publish(fleet.report(5, {"buy": (2007,)}))
    assert counts(one(source)) == {"buy": 7}


def test_a_farewell_is_no_silence(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(30, {"buy": (1000,)}, "h2:1:bb"))
    fleet.publish(fleet.report(30, {"buy": (1000,)}))
    source.sample()
    fleet.publish(fleet.report(8, {"buy": (1009,)}, ended=True))
    fleet.publish(fleet.report(8, {"buy": (1001,)}, "h2:1:bb"))
    service = one(source)
    assert (service.processes, counts(service)) == (1, {"buy": 10})
    assert [each.id for each in service.instances] == ["h2:1:bb"]
    fleet.publish(fleet.report(7, {"buy": (1001,)}, "h2:1:bb", ended=True))
    service = one(source)
    assert (service.processes, service.instances, counts(service)) == (0, (), {"buy": 10})
    fleet.server.client.delete(reports.ENDED_KEY)
    assert counts(one(source)) == {"buy": 10}
    # The same process reports again.
    fleet.publish(fleet.report(5, {"buy": (1010,)}))
    service = one(source)
    assert service.processes == 1


def test_a_life_between_two_samples(fleet: Fleet, source: ServicesSource) -> None:
    source.sample()
    fleet.publish(fleet.report(5, {"job": (3,)}, uptime=0.5, ended=True))
    service = one(source)
    assert (service.processes, counts(service)) == (0, {"job": 3})
    assert service.last_seen < 5


def test_the_dead_are_forgotten_sooner_when_somebody_took_their_place(
    fleet: Fleet, source: ServicesSource
) -> None:
    for name in ("h1:1:aa", "h2:1:bb", "h3:1:cc"):
        fleet.publish(fleet.report(5, {}, name))
    one(source)
    fleet.publish(fleet.report(5, {}, "h1:2:dd", uptime=10.0))
    fleet.publish(fleet.report(5, {}, "h2:2:ee", uptime=9000.0))
    for name in ("h1:1:aa", "h2:1:bb", "h3:1:cc"):
        fleet.silence(200, name)
    assert len(one(source).instances) == 5
    for name in ("h1:1:aa", "h2:1:bb", "h3:1:cc"):
        fleet.silence(310, name)
    service = one(source)
    # The live process on h2 is older than the dead one, so it is not its successor.
    silent = [each.id for each in service.instances if each.state is State.STALE]
    assert silent == ["h2:1:bb", "h3:1:cc"]


def test_names_a_service_that_stopped_before_the_monitor_began(
    fleet: Fleet, source: ServicesSource
) -> None:
    fleet.server.client.zadd(reports.INDEX_KEY, {b"a/b\xff/h7:1:x": fleet.now() - 100})
    service = one(source)
    assert (service.name, service.processes, service.windows) == ("a/b\\xff", 0, ())
    assert 99 < service.last_seen < 120
    (dead,) = service.instances
    assert (dead.id, dead.host, dead.state) == ("h7:1:x", "h7", State.STALE)
    assert isinstance(dead.pid, Absent)


def test_instances(fleet: Fleet, source: ServicesSource) -> None:
    use = ResourceUse(cpu_percent=12.5, memory_rss=1000)
    fleet.publish(fleet.report(2, {}, "h1:10:aa", resources=use, clock=fleet.zero + 3600))
    fleet.publish(fleet.report(2, {}, "h1:9:bb", resources=ResourceUse(), clock=fleet.zero - 200))
    fleet.publish(fleet.report(2, {}, "h0:1:cc", clock=fleet.zero - 1, uptime=0.0))
    third, second, first = one(source).instances
    assert [each.id for each in (first, second, third)] == ["h1:10:aa", "h1:9:bb", "h0:1:cc"]
    assert (first.cpu_percent, first.memory_rss, first.pid) == (12.5, 1000, 10)
    assert first.note == "its clock is 1 h 0 min ahead"
    assert first.uptime == 3598.0
    assert second.note == "its clock is 3 min 18 s behind"
    assert isinstance(second.cpu_percent, Absent)
    assert third.note == ""
    assert all(isinstance(each, Absent) for each in (third.uptime, third.memory_rss))


def test_the_clock_of_a_host_changes_nothing_else(fleet: Fleet, source: ServicesSource) -> None:
    for ago, count in ((20, 1000), (8, 1030)):
        wrong = fleet.zero - ago + 3600
        fleet.publish(fleet.report(ago, {"buy": (count,)}, clock=wrong, started=wrong - 7200 + ago))
        service = one(source)
    assert counts(service) == {"buy": 30}
    assert (service.processes, service.instances[0].state) == (1, State.OK)
    assert service.last_seen < 5


def test_unreadable_reports_are_left_out_and_told(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(20, {"buy": (1,)}))
    fleet.publish(fleet.report(20, {}, "h2:2:bb", version=1))
    fleet.publish(fleet.report(20, {}, "h3:3:cc"), payload=b"\xc1 rubbish")
    fleet.publish(fleet.report(20, {"buy": (1, 0, math.nan)}, "h4:4:dd"))
    fleet.publish(fleet.report(20, {"buy": (1, 0, 0.0, 1, 2)}, "h5:5:ee"))
    fleet.publish(fleet.report(20, {}, "h6:6:ff", bounds=(2.0, 1.0)))
    fleet.publish(fleet.report(20, {}, "h7:7:gg", time=math.inf))
    fleet.publish(fleet.report(20, {"buy": (-1,)}, "h8:8:hh"))
    service = one(source)
    assert service.processes == 1
    assert len(service.instances) == 8
    (note,) = service.notes
    assert note.startswith("7 service reports could not be read: ")
    assert note.endswith("run the same version of perftui in the services and here")
    broken = instance(service, "h2:2:bb")
    assert (broken.state, broken.note) == (
        State.UNAVAILABLE,
        "report version 1, this program reads 2",
    )
    fleet.publish(fleet.report(10, {}, "h2:2:bb"))
    service = one(source)
    assert service.processes == 2
    assert service.notes[0].startswith("6 service reports ")
    for number, letters in enumerate(("cc", "dd", "ee", "ff", "gg", "hh"), 3):
        fleet.silence(60, f"h{number}:{number}:{letters}")
    assert one(source).notes == ()


def test_only_unreadable_reports_is_an_error(fleet: Fleet, source: ServicesSource) -> None:
    fleet.publish(fleet.report(5, version=99))
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            source.sample()
        assert "report version 99" in caught.value.absent.reason
        assert "same version" in caught.value.absent.fix


def test_other_warnings(
    fleet: Fleet, source: ServicesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.publish(fleet.report(5, {}, "h1:1:aa", overflow=37))
    fleet.publish(fleet.report(5, {}, "h1:2:bb", overflow=30, bounds=(0.1, 0.5)))
    overflow, buckets = one(source).notes
    assert overflow.startswith("37 operation names of shop are too many")
    assert "2 different sets of buckets" in buckets


def test_too_many_operations(
    fleet: Fleet, source: ServicesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_totals, "MOST_OPERATIONS", 30)
    monkeypatch.setattr(service_notes, "MOST_OPERATIONS", 30)
    for ago, n in ((20, 0), (8, 1)):
        for process in range(4):
            names = {f"{process}-{number:02}": (n,) for number in range(20)}
            fleet.publish(fleet.report(ago, names, f"h1:{process}:aa"))
        service = one(source)
    found = counts(service)
    assert len(found) == 31
    assert found.pop(service_totals.OTHER) == 50
    assert set(found.values()) == {1}
    assert service.notes == ("shop has 80 operations; those beyond 30 are added up as _other",)
    # When the other processes have gone there is room again.
    for process in (0, 1):
        fleet.publish(fleet.report(7, {}, f"h1:{process}:aa", ended=True))
    assert one(source).notes[0].startswith("shop has 40 operations")
    too_many = {f"{number}": (1,) for number in range(2001)}
    fleet.publish(fleet.report(5, too_many, "h1:9:aa"))
    assert "2,001 operations are more than" in one(source).notes[0]


def test_too_many_processes(
    fleet: Fleet, source: ServicesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.sources.services.source.MOST_PROCESSES", 7)
    for ago, n in ((20, 0), (8, 1)):
        for process in range(10):
            fleet.publish(fleet.report(ago, {"buy": (n,)}, f"h1:{process}:aa"))
        service = one(source)
    assert (service.processes, counts(service)) == (7, {"buy": 7})
    assert service.notes[0].startswith("3 processes of shop are left out: ")
    # As some end, others take their place.
    for each in service.instances[:2]:
        fleet.publish(fleet.report(7, {"buy": (1,)}, each.id, ended=True))
    source.sample()
    assert one(source).processes == 7


def test_too_many_counts(
    fleet: Fleet, source: ServicesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.sources.services.source.MOST_COUNTS", 100)
    monkeypatch.setattr("perftui.sources.services.source.MOST_OPERATIONS", 20)
    for _ in range(3):
        for process in range(10):
            names = {f"{number}": (1,) for number in range(20)}
            fleet.publish(fleet.report(8, names, f"h1:{process}:aa"))
        service = one(source)
        assert service.processes == 5
        assert service.notes[0].startswith("5 processes of shop are left out: ")
    fleet.publish(fleet.report(8, {"9": (1,)}, service="other"))
    other, _ = source.sample()
    assert (other.name, other.processes, other.last_seen) == ("other", 0, 0.0)
    assert other.notes[0].startswith("1 process of other is left out")


def test_a_thousand_processes_are_listed(fleet: Fleet, source: ServicesSource) -> None:
    payload = reports.encode(fleet.report(2))
    pipeline = fleet.server.client.pipeline(transaction=False)
    now = fleet.now()
    for number in range(1200):
        report = msgspec.structs.replace(reports.decode(payload), instance=f"h:{number}:x")
        pipeline.zadd(reports.INDEX_KEY, {f"shop/{report.instance}": now})
        pipeline.set(reports.report_key("shop", report.instance), reports.encode(report))
    pipeline.execute()
    service = one(source)
    assert (service.processes, len(service.instances)) == (1200, 1000)
    assert service.notes == ("1,000 of 1,200 processes of shop are listed one by one",)
