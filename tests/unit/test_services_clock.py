"""Rates stay right when somebody sets the clock of Redis, or when the machine sleeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from redis_fixture import RedisProcess
from service_fleet import FIVE_MINUTES, Fleet, one, operation

from perftui.metrics import report as reports
from perftui.snapshot import Service
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.source import ServicesSource, _Reading

PER_SECOND = 10


class MovedSource(ServicesSource):
    """A source for which time passes, and whose Redis has a clock that is set."""

    passed = 0.0
    slept = 0.0
    set_by = 0.0

    def _index(self, client: redis.Redis) -> _Reading:
        reading = super()._index(client)
        reading.now += self.passed + self.slept + self.set_by
        reading.monotonic += self.passed
        return reading


class Scene:
    """One process with ten calls a second, that reports every two seconds."""

    def __init__(self, server: RedisProcess) -> None:
        self.source = MovedSource(RedisTarget.parse(server.url))
        self.fleet = Fleet(server)

    def pass_time(self, seconds: int) -> Service:
        for _ in range(seconds // 2):
            self.source.passed += 2.0
            service = self.report(self.source.passed)
        return service

    def report(self, up: float) -> Service:
        source, fleet = self.source, self.fleet
        time = fleet.zero + source.passed + source.slept + source.set_by
        count = round(PER_SECOND * up)
        report = fleet.report(0, {"pay": (count,)}, time=time, uptime=3600.0 + up, clock=0.0)
        fleet.server.client.zadd(reports.INDEX_KEY, {"shop/h1:1:aa": time})
        fleet.server.client.set(reports.report_key("shop", "h1:1:aa"), reports.encode(report))
        return one(source)


@pytest.fixture
def scene(redis_server: RedisProcess) -> Iterator[Scene]:
    made = Scene(redis_server)
    yield made
    made.source.close()


def rates(service: Service) -> list[float]:
    return [operation(service, "pay", window).rate for window in range(3)]


@pytest.mark.parametrize("step", [3600.0, 31.0, -31.0, -3600.0])
def test_a_clock_that_is_set_does_not_change_the_rates(scene: Scene, step: float) -> None:
    assert rates(scene.pass_time(80)) == pytest.approx([PER_SECOND] * 3, rel=0.01)
    scene.source.set_by = step
    for turn in range(10):
        service = scene.pass_time(2)
        assert service.processes == 1
        if step > 0 and turn < 2 and not any(rates(service) if service.windows else ()):
            # They begin anew, with the first slot that is full and was told of.
            continue
        # A slot of two seconds can come to lie askew by a part of it.
        assert rates(service) == pytest.approx([PER_SECOND] * 3, rel=0.15)
    assert scene.pass_time(80).windows[FIVE_MINUTES].covered > 80


def test_nothing_is_news_that_was_counted_before_the_clock_was_set(scene: Scene) -> None:
    scene.pass_time(40)
    scene.source.set_by = 3600.0
    scene.source.sample()
    # Its counts have been thrown away meanwhile, and it is an hour old.
    service = scene.pass_time(6)
    assert 0 < operation(service, "pay").count <= 60


def test_what_others_counted_while_this_machine_slept_is_counted(scene: Scene) -> None:
    scene.pass_time(20)
    scene.source.slept = 600.0
    service = scene.report(scene.source.passed + 600.0)
    assert rates(service) == pytest.approx([PER_SECOND] * 3, rel=0.01)
    assert service.windows[FIVE_MINUTES].covered > 280
