"""What a Reporter makes of the caches of a process."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import msgspec
import pytest
from redis_fixture import RedisProcess

from perftui import CacheConfig, CacheManager
from perftui.metrics import report as reports
from perftui.metrics.cache_reading import CacheReading, read_all, sources_of
from perftui.metrics.report import CacheCounts, CacheState, ServiceReport
from perftui.metrics.reported_process import any_counted, own_lookups
from perftui.metrics.reporter import Reporter

ONE = CacheCounts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
OLD = CacheCounts(1, 2, 3, 4, 5, 6, 7)


class Cache:
    """A cache with fixed numbers."""

    def __init__(self, **counts: CacheCounts) -> None:
        self._counts = counts

    def reading(self) -> CacheReading:
        return CacheReading(self._counts, CacheState(coherence="live", max_items=10))


def fail() -> None:
    raise


def test_the_same_namespace_of_several_caches_adds_up() -> None:
    one, other = Cache(user=ONE, order=ONE), Cache(user=ONE)
    found = read_all(sources_of([one, other, one]), fail)
    assert found.counts["user"] == CacheCounts(
        2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, (0, 1)
    )
    assert found.counts["order"] == msgspec.structs.replace(ONE, states=(0,))
    assert len(found.states) == 2


def test_a_function_may_stand_beside_a_cache_and_what_it_does_not_count_stays_unknown() -> None:
    found = read_all(sources_of([Cache(user=ONE), lambda: {"user": OLD, "mine": OLD}]), fail)
    user = found.counts["user"]
    assert (user.memory_hits, user.memory_expirations, user.loads) == (2, None, None)
    assert (user.states, found.counts["mine"]) == ((0,), OLD)
    assert read_all(sources_of(None), fail).counts == {}


@pytest.mark.parametrize("wrong", [{}, 3, "manager", [3], [Cache(), "x"]])
def test_what_is_no_cache_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="it must be a CacheManager"):
        Reporter("redis://localhost", "shop", caches=wrong)


def test_a_forked_process_reports_its_own_part() -> None:
    later = CacheCounts(2, 4, 6, 8, 50, 60, 14, 16, None, 20, 22, 24, 26, (1,))
    assert own_lookups(later, ONE) == CacheCounts(
        1, 2, 3, 4, 50, 60, 7, 8, None, 10, 11, 12, 13, (1,)
    )
    assert not any_counted(
        own_lookups(msgspec.structs.replace(ONE, memory_items=0, memory_size=0), ONE)
    )
    assert any_counted(own_lookups(ONE, ONE))


class OldCounts(msgspec.Struct, frozen=True):
    """The counts of the release before."""

    memory_hits: int
    memory_misses: int
    redis_hits: int
    redis_misses: int
    memory_items: int
    memory_size: int
    memory_evictions: int


class OldReport(msgspec.Struct, frozen=True):
    """The part of a report that the release before reads."""

    service: str
    version: int
    caches: dict[str, OldCounts] = {}


def test_older_readers_and_writers_go_on() -> None:
    report = ServiceReport(
        "shop", "h:1:a", "h", 1, 0.0, 1.0,
        caches={"user": msgspec.structs.replace(ONE, states=(0,))},
        cache_states=(CacheState(coherence="lost"),),
    )  # fmt: skip
    payload = reports.encode(report)
    assert reports.decode(payload) == report
    old = msgspec.msgpack.decode(payload, type=OldReport)
    assert old.caches == {"user": OldCounts(1, 2, 3, 4, 5, 6, 7)}
    written = msgspec.to_builtins(
        ServiceReport("shop", "h:1:a", "h", 1, 0.0, 1.0, caches={"user": OLD})
    )
    del written["cache_states"]
    assert set(written["caches"]["user"]) == set(OldCounts.__struct_fields__)
    assert reports.decode(msgspec.msgpack.encode(written)).caches == {"user": OLD}


def published(server: RedisProcess, reporter: Reporter) -> ServiceReport | None:
    payload = server.client.get(reports.report_key("shop", reporter.status.instance))
    return None if payload is None else reports.decode(payload)


def until_published(server: RedisProcess, reporter: Reporter, wanted: Any) -> ServiceReport:
    end = time.monotonic() + 20
    report = None
    while time.monotonic() < end:
        report = published(server, reporter)
        if report is not None and wanted(report):
            return report
        time.sleep(0.02)
    raise AssertionError(report)


async def test_a_manager_tells_how_it_stands(redis_server: RedisProcess) -> None:
    config = CacheConfig(
        {"max_size": 2}, {"memory": {"max_size": 5000}}, url=redis_server.url, namespace="shop"
    )
    cache = CacheManager(config, metrics=False)
    unused = CacheManager(CacheConfig(url=redis_server.url, namespace="other"), metrics=False)
    with Reporter(
        redis_server.url, "shop", interval=0.1, resources=None, caches=[cache.sync, unused]
    ) as reporter:
        first = until_published(redis_server, reporter, lambda report: True)
        assert [state.coherence for state in first.cache_states] == ["", ""]
        async with cache:
            for number in range(3):
                await cache.set_cached(f"user:{number}", "x")
            assert await cache.get_or_load("user:9", lambda: 9) == 9
            await cache.get_cached("user:0")
            report = until_published(
                redis_server,
                reporter,
                lambda report: (
                    report.cache_states[0].lag is not None
                    and report.caches.get("user", OLD).loads == 1
                ),
            )
            user, (state, other) = report.caches["user"], report.cache_states
            assert (state.coherence, state.redis_answers) == ("live", True)
            assert (state.max_items, state.max_bytes) == (2, 5000)
            assert (state.prefix, state.separator) == ("shop:", ":")
            assert state.bound == 1.5
            assert state.age is not None
            assert 0 <= state.age < 60
            assert user.memory_items <= 2
            assert user.states == (0,)
            assert user.memory_ghost_hits is not None
            assert (other.coherence, other.redis_answers, other.max_items) == ("", None, 1000)
        until_published(
            redis_server, reporter, lambda report: report.cache_states[0].coherence == ""
        )
    await unused.close()


async def test_a_tracking_connection_that_is_killed_is_told(redis_server: RedisProcess) -> None:
    config = CacheConfig(url=redis_server.url, namespace="shop")
    async with CacheManager(config, metrics=False) as cache:
        end = time.monotonic() + 20
        while cache.reading().state.coherence != "live":
            assert time.monotonic() < end
            time.sleep(0.005)
        redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        while cache.reading().state.lost == 0:
            assert time.monotonic() < end
            time.sleep(0.005)


async def test_a_cache_without_redis_and_one_with_an_unprintable_prefix() -> None:
    alone = CacheManager(
        CacheConfig(backends={"redis": {"enabled": False}}, prefix=b"\xff"), metrics=False
    )
    async with alone:
        await alone.set_cached("k", 1)
        state = alone.reading().state
        assert (state.coherence, state.bound, state.redis_answers) == ("off", None, None)
        assert (state.prefix, state.separator) == ("", "")
    nothing = CacheManager(
        CacheConfig(backends={"memory": {"enabled": False}}, url="redis://localhost:1"),
        metrics=False,
    )
    assert nothing.reading().state.max_items is None
    await nothing.close()


async def test_no_state_is_told_in_a_forked_process_before_it_looks_anything_up(
    redis_server: RedisProcess,
) -> None:
    async with CacheManager(
        CacheConfig(url=redis_server.url, namespace="shop"), metrics=False
    ) as cache:
        await cache.get_cached("a")
        child = os.fork()
        if not child:
            state = cache.reading().state
            os._exit(0 if (state.coherence, state.lost) == ("", 0) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_function_that_fails_takes_nothing_else_along(redis_server: RedisProcess) -> None:
    def broken() -> dict[str, CacheCounts]:
        raise SystemExit(3)

    with Reporter(
        redis_server.url, "shop", interval=0.1, resources=None, caches=[Cache(user=ONE), broken]
    ) as reporter:
        report = until_published(redis_server, reporter, lambda report: True)
        assert math.isfinite(report.time)
        assert report.caches == {"user": msgspec.structs.replace(ONE, states=(0,))}
