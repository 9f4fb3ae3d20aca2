"""The readings of one server against what INFO says, and against servers that go away."""

from __future__ import annotations

import threading
import time

import pytest
from redis_fixture import RedisProcess

from perftui.cache.key_listing import KeyListing
from perftui.snapshot import Absent, Maybe, RedisServer, State
from perftui.sources.hit_windows import HitWindows
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.server import RedisServerSource, parse_info
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _value(found: Maybe[float]) -> float:
    assert not isinstance(found, Absent), found
    return found


def test_tells_what_info_tells(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.mset({f"k{n}": n for n in range(17)})
    client.execute_command("SELECT", 0)
    client.config_set("maxmemory", "64mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    source = RedisServerSource(RedisTarget.parse(redis_server.url))
    server = source.sample()
    info = client.info()
    source.close()
    assert server.address == redis_server.socket
    assert server.flavour == "Redis"
    assert server.version == info["redis_version"]
    assert server.role == "master"
    assert server.keys == 17
    assert server.memory_limit == 64 * 2**20
    assert server.memory_policy == "allkeys-lru"
    assert server.clients == info["connected_clients"]
    assert server.blocked_clients == 0
    assert abs(server.memory_used - info["used_memory"]) < 2**20
    assert abs(server.uptime - info["uptime_in_seconds"]) <= 1
    assert 0 < server.latency < 1
    assert server.hit_ratio.seconds_10 == Absent(State.NOT_COLLECTED, "a rate needs two samples")
    assert isinstance(server.commands_rate, Absent)


def test_no_limit_is_none_and_all_databases_count(redis_server: RedisProcess) -> None:
    redis_server.client.set("a", 1)
    other = RedisTarget(scheme="unix", path=redis_server.socket, db=3)
    pipeline = redis_server.client.pipeline(transaction=False)
    pipeline.execute_command("SELECT", 3)
    pipeline.execute_command("MSET", "b", 1, "c", 1)
    pipeline.execute_command("SELECT", 0)
    pipeline.execute()
    source = RedisServerSource(other)
    server = source.sample()
    source.close()
    assert server.memory_limit is None
    assert server.keys == 3


def test_ratio_and_rates_are_differences(redis_server: RedisProcess) -> None:
    client, clock = redis_server.client, Clock()
    client.set("here", 1)
    for _ in range(50):
        client.get("gone")  # before the first sample, so in none of the windows
    source = RedisServerSource(RedisTarget.parse(redis_server.url), clock=clock)
    source.sample()
    clock.now += 2
    quiet = source.sample()
    assert isinstance(quiet.hit_ratio.seconds_10, Absent)
    assert "no look-ups in the last 10 s" in quiet.hit_ratio.seconds_10.reason
    for _ in range(30):
        client.get("here")
    for _ in range(10):
        client.get("gone")
    client.set("short", 1, px=1)
    time.sleep(0.01)
    client.get("short")  # expired now: one more miss, one expiration
    clock.now += 2
    server = source.sample()
    source.close()
    assert _value(server.hit_ratio.seconds_10) == pytest.approx(30 / 41)
    assert server.hit_ratio.seconds_1000 == server.hit_ratio.seconds_10
    assert _value(server.hits_rate) == pytest.approx(15)
    assert _value(server.misses_rate) == pytest.approx(5.5)
    assert _value(server.expirations_rate) == pytest.approx(0.5)
    assert _value(server.evictions_rate) == 0
    # 42 commands of the client and two of the monitor's own.
    assert _value(server.commands_rate) == pytest.approx(22)


def test_what_the_monitor_looks_up_is_not_in_the_ratio(redis_server: RedisProcess) -> None:
    clock = Clock()
    target = RedisTarget.parse(redis_server.url)
    source = RedisServerSource(target, clock=clock)
    redis_server.client.set("here", 1)
    source.sample()
    for _ in range(3):
        redis_server.client.get("here")
    for _ in range(7):
        redis_server.client.get("gone")
    own_lookups(target).add(hits=0, misses=6)
    clock.now += 1
    server = source.sample()
    source.close()
    assert server.hit_ratio.seconds_10 == 0.75


def test_a_listing_with_details_does_not_change_the_ratio(redis_server: RedisProcess) -> None:
    clock, client = Clock(), redis_server.client
    target = RedisTarget.parse(redis_server.url)
    source = RedisServerSource(target, clock=clock)
    client.mset({f"k{number}": number for number in range(300)})
    source.sample()
    for _ in range(3):
        client.get("k1")
        client.get("gone")
    listing = KeyListing(client, b"k*", details=True)
    page = listing.next_page(300)
    listing.close()
    assert page.hits == 600
    own_lookups(target).add(page.hits, page.misses)
    clock.now += 1
    server = source.sample()
    source.close()
    assert server.hit_ratio.seconds_10 == 0.5
    assert (server.hits_rate, server.misses_rate) == (3, 3)


def test_reset_counters_restart_the_windows(redis_server: RedisProcess) -> None:
    client, clock = redis_server.client, Clock()
    source = RedisServerSource(RedisTarget.parse(redis_server.url), clock=clock)
    client.get("gone")
    source.sample()
    client.config_resetstat()
    clock.now += 1
    assert isinstance(source.sample().misses_rate, Absent)
    client.get("gone")
    clock.now += 1
    server = source.sample()
    source.close()
    assert server.hit_ratio.seconds_10 == 0.0
    assert server.misses_rate == 1.0


def test_recovers_from_kill_and_restart(redis_server: RedisProcess) -> None:
    source = RedisServerSource(RedisTarget.parse(redis_server.url))
    source.sample()
    redis_server.kill()
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert caught.value.absent.state is State.UNAVAILABLE
    redis_server.start()
    server = _until_it_works(source)
    source.close()
    assert isinstance(server.commands_rate, Absent), "the counters of two runs have no difference"


def test_a_frozen_server_is_told_within_a_second(redis_server: RedisProcess) -> None:
    source = RedisServerSource(RedisTarget.parse(redis_server.url))
    source.sample()
    redis_server.freeze()
    start = time.monotonic()
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert time.monotonic() - start < 1.5
    assert "did not answer within 0.5 s" in caught.value.absent.reason
    redis_server.thaw()
    server = _until_it_works(source)
    source.close()
    assert _value(server.commands_rate) >= 0, "the same run goes on, so the rate does too"


def test_close_ends_a_sample_that_waits(redis_server: RedisProcess) -> None:
    source = RedisServerSource(RedisTarget.parse(redis_server.url))
    source.sample()
    redis_server.freeze()
    outcome: list[BaseException] = []

    def sample() -> None:
        try:
            source.sample()
        except SourceError as error:
            outcome.append(error)

    thread = threading.Thread(target=sample)
    thread.start()
    time.sleep(0.05)
    source.close()
    thread.join(5)
    redis_server.thaw()
    assert not thread.is_alive()
    assert len(outcome) == 1


def test_knows_valkey_and_servers_that_leave_fields_out() -> None:
    payload = (
        b"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n"
        b"os:Linux\xff\r\n"
    )
    info = parse_info(payload)
    assert info["valkey_version"] == "8.0.1"
    source = RedisServerSource(RedisTarget())
    with pytest.raises(SourceError, match="lacks uptime_in_seconds"):
        source._reading(info, 0.001, 1.0, (0, 0))
    fields = ("uptime_in_seconds", "connected_clients", "blocked_clients", "used_memory")
    server = source._reading(info | dict.fromkeys(fields, "1"), 0.001, 1.0, (0, 0))
    assert (server.flavour, server.version) == ("Valkey", "8.0.1")
    assert isinstance(server.hits_rate, Absent)
    assert "keyspace_hits" in server.hits_rate.reason


def test_windows_forget_what_is_older_and_stay_small() -> None:
    windows = HitWindows()
    for second in range(3000):
        # A hit each second, and a miss each second until 50 seconds before the end.
        windows.add(float(second), second, min(second, 2950))
    ratio = windows.ratio()
    assert _value(ratio.seconds_10) == 1.0
    assert _value(ratio.seconds_100) == pytest.approx(100 / 151, abs=0.01)
    assert _value(ratio.seconds_1000) == pytest.approx(1000 / 1950, abs=0.01)
    assert all(len(window.points) <= 103 for window in windows._windows)


def test_a_window_does_not_reach_across_an_outage() -> None:
    windows = HitWindows()
    windows.add(0.0, 0, 0)
    windows.add(1.0, 0, 100)
    windows.add(61.0, 10, 200)
    windows.add(62.0, 20, 200)
    ratio = windows.ratio()
    assert ratio.seconds_10 == 1.0
    assert ratio.seconds_100 == pytest.approx(20 / 220)


def _until_it_works(source: RedisServerSource) -> RedisServer:
    deadline = time.monotonic() + 10
    while True:
        try:
            return source.sample()
        except SourceError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
