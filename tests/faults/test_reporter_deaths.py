"""Workers that are killed, begin again, leave, or live on a host whose clock is wrong."""

from __future__ import annotations

import pytest
from redis_fixture import RedisProcess
from service_children import Child, children, watch

from perftui.snapshot import Service, State
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.process import STALE_AFTER
from perftui.sources.services.source import ServicesSource

FIVE_MINUTES = 2


@pytest.fixture
def source(redis_server: RedisProcess) -> ServicesSource:
    source = ServicesSource(RedisTarget.parse(redis_server.url))
    source.sample()
    return source


def calls(service: Service) -> int:
    if not service.windows:
        return 0
    return sum(each.count for each in service.windows[FIVE_MINUTES].operations)


def durations(told: dict[str, dict[str, list[float]]]) -> int:
    return sum(map(len, told["durations"].values()))


def states(service: Service) -> dict[str, State]:
    return {each.id: each.state for each in service.instances}


def test_a_killed_worker_and_its_successor(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    with children() as started:
        started += [Child(redis_server.url, 5, 0.5, number) for number in range(2)]
        dead, alive = (child.instance() for child in started)
        told = [durations(child.told()) for child in started]
        # The traffic is over and has been told, so that a kill loses nothing.
        watch(source, lambda service: calls(service) == sum(told))
        started[0].kill()
        service = watch(source, lambda found: found if found.processes == 1 else None)
        assert states(service) == {dead: State.STALE, alive: State.OK}
        silent = service.instances[-1]
        assert STALE_AFTER < silent.last_seen < STALE_AFTER + 5
        assert calls(service) == sum(told)
        started.append(Child(redis_server.url, 5, 0.5, 2))
        successor = started[-1].instance()
        told.append(durations(started[-1].told()))
        service = watch(source, lambda found: found if calls(found) == sum(told) else None)
        assert service.processes == 2
        assert states(service) == {dead: State.STALE, alive: State.OK, successor: State.OK}
        # Who leaves in order is gone at once, and is not silent.
        started[-1].leave()
        service = source.sample()[0]
        assert states(service) == {dead: State.STALE, alive: State.OK}
        assert calls(service) == sum(told)


def test_a_clock_that_is_an_hour_ahead(redis_server: RedisProcess, source: ServicesSource) -> None:
    with children() as started:
        started.append(Child(redis_server.url, 5, 1.0, 0, ahead=3600))
        started.append(Child(redis_server.url, 5, 1.0, 1, ahead=-86_400))
        ahead, behind = (child.instance() for child in started)
        told = sum(durations(child.told()) for child in started)
        service = watch(source, lambda found: found if calls(found) == told else None)
        notes = {each.id: each.note for each in service.instances}
        assert notes[ahead].startswith("its clock is 1 h 0 min ahead")
        assert notes[behind].startswith("its clock is 1 d 0 h behind")
        assert set(states(service).values()) == {State.OK}
        assert service.processes == 2
        assert service.last_seen < 5
        assert all(0 < each.uptime < 60 for each in service.instances)  # type: ignore[operator]


def test_a_redis_that_comes_back_empty(redis_server: RedisProcess, source: ServicesSource) -> None:
    with children() as started:
        started.append(Child(redis_server.url, 5, 3.0, 0))
        started[0].instance()
        watch(source, calls)
        redis_server.client.flushall()
        told = durations(started[0].told())
        service = watch(source, lambda found: found if calls(found) == told else None)
        assert service.processes == 1
