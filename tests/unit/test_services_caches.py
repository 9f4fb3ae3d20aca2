"""Caches of services as their processes report them: limits, coherence, each process on its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from redis_fixture import RedisProcess
from service_fleet import Fleet, one

from perftui.metrics.report import CacheCounts, CacheState, ServiceReport
from perftui.snapshot import NOT_LISTENED, Absent, CacheNamespace, CacheProcess, CacheTier, State
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services import caches as source_caches
from perftui.sources.services.cache_lookups import NO_GROWTH, RecentGrowth
from perftui.sources.services.source import ServicesSource

LIVE = CacheState(
    "shop:", ":", "live", lag=0.001, bound=1.5, age=40.0, redis_answers=True,
    max_items=1000, max_bytes=50_000,
)  # fmt: skip
LOST = msgspec.structs.replace(
    LIVE, coherence="lost", reason="connection reset", lag=None, age=5.0, lost=3,
    redis_answers=False,
)  # fmt: skip
REFUSED = msgspec.structs.replace(
    LIVE, coherence="off", reason="refused", fix="ACL SETUSER shop +client|tracking", bound=5.0
)
ALONE = msgspec.structs.replace(
    LIVE, coherence="off", bound=None, age=None, lag=None, redis_answers=None
)
UNUSED = msgspec.structs.replace(LIVE, coherence="", age=None, lag=None)
COUNTS = CacheCounts(80, 20, 15, 5, 30, 900, 10, 4, 8, 2, 1, 5, 1, (0,))
ZERO = CacheCounts(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (0,))


@pytest.fixture
def fleet(redis_server: RedisProcess) -> Fleet:
    return Fleet(redis_server)


@pytest.fixture
def source(redis_server: RedisProcess) -> Iterator[ServicesSource]:
    made = ServicesSource(RedisTarget.parse(redis_server.url))
    yield made
    made.close()


def say(
    fleet: Fleet,
    state: CacheState,
    counts: CacheCounts = COUNTS,
    instance: str = "h1:1:aa",
    before: CacheCounts | None = ZERO,
    **fields: Any,
) -> None:
    """Let a process report what it has counted in 20 seconds."""

    def made(ago: float, counted: CacheCounts) -> ServiceReport:
        return fleet.report(
            ago, instance=instance, caches={"user": counted}, cache_states=(state,), **fields
        )

    fleet.publish(made(0, counts), before=None if before is None else made(20, before))


def user(source: ServicesSource) -> CacheNamespace:
    [namespace] = one(source).caches
    return namespace


def row(namespace: CacheNamespace, instance: str = "h1:1:aa") -> CacheProcess:
    return {each.instance: each for each in namespace.processes}[instance]


def tier(part: CacheNamespace | CacheProcess, name: str) -> CacheTier:
    return {each.tier: each for each in part.tiers}[name]


def test_what_a_process_counts_and_how_it_stands(fleet: Fleet, source: ServicesSource) -> None:
    say(fleet, LIVE)
    namespace = user(source)
    process = row(namespace)
    for part in (namespace, process):
        memory, redis, overall = part.tiers
        assert (memory.items, memory.items_limit) == (30, 1000)
        assert (memory.size, memory.size_limit) == (900, 50_000)
        assert memory.hit_ratio.seconds_100 == 0.8
        assert redis.hit_ratio.seconds_100 == 0.75
        assert overall.hit_ratio.seconds_100 == 0.95
        assert isinstance(memory.errors_rate, Absent)
        assert isinstance(redis.expirations_rate, Absent)
        assert isinstance(overall.items_limit, Absent)
    memory, redis, overall = process.tiers
    assert memory.expirations_rate == pytest.approx(0.2)
    assert memory.evictions_rate == pytest.approx(0.5)
    assert memory.lookups_rate == pytest.approx(5.0)
    assert redis.lookups_rate == pytest.approx(1.0)
    assert redis.errors_rate == pytest.approx(0.1)
    assert overall.errors_rate == pytest.approx(0.2)
    assert overall.lookups_rate == pytest.approx(5.0)
    assert (process.state, process.host, process.pid) == (State.OK, "h1", 1)
    assert process.redis_answers is True
    assert process.coherence == namespace.coherence
    assert not isinstance(namespace.coherence, Absent)
    assert (namespace.coherence.state, namespace.coherence.lag) == ("live", 0.001)
    assert namespace.coherence.since == pytest.approx(fleet.zero - 40)
    assert namespace.ghost_ratio == pytest.approx(0.88)
    assert namespace.loads_rate == pytest.approx(0.25, rel=0.2)
    assert namespace.prefixes == ("shop:user:",)
    assert namespace.more_processes == 0


def test_rates_are_sums_over_processes(fleet: Fleet, source: ServicesSource) -> None:
    for number in range(4):
        say(fleet, LIVE, instance=f"h{number}:1:aa")
    namespace = user(source)
    memory, redis, overall = namespace.tiers
    assert memory.lookups_rate == pytest.approx(20.0, rel=0.2)
    assert memory.expirations_rate == pytest.approx(0.8, rel=0.2)
    assert redis.errors_rate == pytest.approx(0.4, rel=0.2)
    assert overall.errors_rate == pytest.approx(0.8, rel=0.2)
    assert (memory.items, memory.items_limit, memory.size_limit) == (120, 4000, 200_000)
    assert memory.lookups_100 == 400
    assert [each.host for each in namespace.processes] == ["h0", "h1", "h2", "h3"]


@pytest.mark.parametrize(
    ("others", "state"),
    [
        ([LIVE, LOST, REFUSED], "lost"),
        ([LIVE, REFUSED], "off"),
        ([LIVE, ALONE], "live"),
        ([LIVE, UNUSED], "live"),
        ([msgspec.structs.replace(LIVE, coherence="syncing"), LIVE], "syncing"),
        ([UNUSED, UNUSED], None),
    ],
)
def test_the_worst_process_speaks_for_all(
    fleet: Fleet, source: ServicesSource, others: list[CacheState], state: str | None
) -> None:
    for number, other in enumerate(others):
        say(fleet, other, instance=f"h{number}:1:aa")
    coherence = user(source).coherence
    if state is None:
        assert isinstance(coherence, Absent)
        assert "has not looked anything up yet" in coherence.reason
    else:
        assert not isinstance(coherence, Absent)
        assert coherence.state == state


def test_what_is_lost_says_why(fleet: Fleet, source: ServicesSource) -> None:
    say(fleet, LOST)
    process = row(user(source))
    assert not isinstance(process.coherence, Absent)
    assert (process.coherence.reason, process.coherence.lost) == ("connection reset", 3)
    assert isinstance(process.coherence.lag, Absent)
    assert process.redis_answers is False


def test_a_silent_process_is_a_row_and_no_part_of_a_sum(
    fleet: Fleet, source: ServicesSource
) -> None:
    say(fleet, LIVE)
    say(fleet, LOST, instance="h2:1:aa")
    assert len(user(source).processes) == 2
    fleet.silence(9, "h2:1:aa")
    namespace = user(source)
    silent = row(namespace, "h2:1:aa")
    assert silent.state is State.STALE
    assert isinstance(silent.coherence, Absent)
    assert silent.coherence.reason == "no report for 9 s"
    assert tier(silent, "memory").items == silent.coherence
    assert tier(namespace, "memory").items_limit == 1000
    assert not isinstance(namespace.coherence, Absent)
    assert namespace.coherence.state == "live"
    assert [each.instance for each in namespace.processes] == ["h1:1:aa", "h2:1:aa"]


def test_a_farewell_counts_and_leaves_no_row(fleet: Fleet, source: ServicesSource) -> None:
    say(fleet, LIVE, before=None)
    say(fleet, LIVE, instance="h2:1:aa", before=None)
    user(source)
    more = msgspec.structs.replace(COUNTS, memory_hits=180)
    say(fleet, LIVE, more, instance="h2:1:aa", before=None, ended=True, time=fleet.zero + 0.5,
        uptime=3600.5)  # fmt: skip
    namespace = user(source)
    assert [each.instance for each in namespace.processes] == ["h1:1:aa"]
    assert tier(namespace, "memory").lookups_100 == 100


def test_a_process_that_begins_again_counts_from_zero(fleet: Fleet, source: ServicesSource) -> None:
    say(fleet, LIVE, before=None)
    user(source)
    again = msgspec.structs.replace(ZERO, memory_hits=3, memory_misses=1, memory_expirations=1)
    say(fleet, LIVE, again, before=None, started=2.0, time=fleet.zero + 1, uptime=0.5)
    namespace = user(source)
    for part in (namespace, row(namespace)):
        memory = tier(part, "memory")
        assert (memory.lookups_100, memory.hit_ratio.seconds_100) == (4, 0.75)


def test_an_older_process_makes_the_sum_unknown_and_says_so(
    fleet: Fleet, source: ServicesSource
) -> None:
    say(fleet, LIVE)
    fleet.publish(
        fleet.report(0, instance="h2:1:aa", caches={"user": CacheCounts(1, 1, 1, 1, 1, 1, 1)})
    )
    namespace = user(source)
    memory = tier(namespace, "memory")
    assert memory.items == 31
    for missing in (memory.items_limit, memory.expirations_rate, namespace.ghost_ratio):
        assert isinstance(missing, Absent)
        assert missing.reason == "1 of 2 processes do not tell it"
        assert "CacheManager" in missing.fix
    assert row(namespace, "h2:1:aa").coherence == NOT_LISTENED
    assert not isinstance(namespace.coherence, Absent)


def test_caches_without_memory_or_without_a_list_of_ghosts(
    fleet: Fleet, source: ServicesSource
) -> None:
    say(fleet, LIVE, msgspec.structs.replace(COUNTS, memory_ghost_hits=None))
    ratio = user(source).ghost_ratio
    assert isinstance(ratio, Absent)
    assert ratio.fix == "CacheConfig(ghost=True)"
    bare = msgspec.structs.replace(LIVE, max_items=None, max_bytes=None)
    say(fleet, bare, before=None, time=fleet.zero + 1, uptime=3601.0)
    namespace = user(source)
    for missing in (namespace.ghost_ratio, tier(namespace, "memory").items_limit):
        assert isinstance(missing, Absent)
        assert missing.reason == "the cache keeps nothing in memory"
    # One that has no memory adds nothing to the limit of those that have.
    say(fleet, LIVE, instance="h2:1:aa")
    assert tier(user(source), "memory").items_limit == 1000


@pytest.mark.parametrize(
    "wrong",
    [
        {"lag": math.nan},
        {"age": -1.0},
        {"bound": math.inf},
        {"max_items": -1},
        {"lost": 1 << 50},
    ],
)
def test_impossible_states_are_refused(
    fleet: Fleet, source: ServicesSource, wrong: dict[str, Any]
) -> None:
    say(fleet, LIVE, instance="h2:1:aa")
    say(fleet, msgspec.structs.replace(LIVE, **wrong))
    service = one(source)
    assert "impossible counts" in service.notes[0]
    assert service.processes == 1


def test_a_namespace_of_a_cache_that_is_not_there_is_refused(
    fleet: Fleet, source: ServicesSource
) -> None:
    say(fleet, LIVE, instance="h2:1:aa")
    say(fleet, LIVE, msgspec.structs.replace(COUNTS, states=(1,)))
    assert "impossible counts" in one(source).notes[0]


def test_parts_that_are_too_many_are_counted(
    fleet: Fleet, source: ServicesSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_caches, "MOST_SHARES", 2)
    for number in range(4):
        say(fleet, LIVE, instance=f"h{number}:1:aa")
    namespace = user(source)
    assert (len(namespace.processes), namespace.more_processes) == (2, 2)
    assert tier(namespace, "memory").items == 120


def test_a_clock_that_is_set_does_not_change_the_rate_of_a_process() -> None:
    growth = NO_GROWTH._replace(loads=10)
    for step in (-3600.0, 3600.0, 0.0):
        recent = RecentGrowth()
        for second in range(0, 20, 2):
            recent.add(growth, second, second + 2.0)
        for second in range(20, 30, 2):
            recent.add(growth, second + step, second + 2.0 + step)
        assert recent.rates().loads == pytest.approx(5.0)
    assert isinstance(RecentGrowth().rates().loads, Absent)
