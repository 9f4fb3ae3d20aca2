"""Prefixes of a real Redis: exact ones, sampled ones, and groups of any keys."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess
from redis_groups import Cluster

from perftui import cli
from perftui.cache.glob import matcher
from perftui.cache.key_groups import KeyGroups, shape
from perftui.cache.prefix_tally import Prefix, ServerTally, Totals, wilson
from perftui.cache.prefixes import PrefixSamples, PrefixSampling, reversed_bits


def _fill(server: RedisProcess, keys: int = 6000, first: int = 0) -> None:
    """Write half of the keys as carts of users, a third as sessions, the rest as pages."""
    pipeline = server.client.pipeline(transaction=False)
    for number in range(first, first + keys):
        if number % 2:
            pipeline.set(f"user:{number}:cart", b"x" * 300)
        elif number % 3:
            pipeline.set(f"session:{number:032x}", b"x" * 20)
        else:
            pipeline.set(b"page:\xff%d" % number, b"x")
    pipeline.execute()


def _by_pattern(found: PrefixSamples) -> dict[bytes, Prefix]:
    return {one.pattern: one for one in found.prefixes}


def _lookups(server: RedisProcess) -> tuple[int, int]:
    stats = server.client.info("stats")
    return stats["keyspace_hits"], stats["keyspace_misses"]


def test_small_databases_are_exact_and_no_lookup_is_counted(redis_server: RedisProcess) -> None:
    _fill(redis_server)
    client = redis_server.client
    true_size = sum(client.memory_usage(key, samples=0) or 0 for key in client.keys("user:*"))
    before = _lookups(redis_server)
    seen: list[tuple[int, int]] = []
    found = PrefixSampling(client).run(lambda *progress: seen.append(progress))
    assert _lookups(redis_server) == before
    assert (found.complete, found.cancelled, found.error, found.merged) == (True, False, "", 0)
    assert (found.keys, found.sampled) == (6000, 6000)
    groups = _by_pattern(found)
    assert {pattern: one.keys for pattern, one in groups.items()} == {
        b"user:*": 3000, b"user:*:cart": 3000, b"session:*": 2000, b"page:*": 1000,
    }  # fmt: skip
    user = groups[b"user:*"]
    assert (user.keys_low, user.keys_high) == (3000, 3000)
    assert (user.size_low, user.size, user.size_high) == (true_size, true_size, true_size)
    assert user.largest.startswith(b"user:")
    assert sum(one.size or 0 for one in found.prefixes if one.depth == 1) == found.size
    assert found.biggest(1) == (user,)
    assert found.parts(user) == (groups[b"user:*:cart"],)
    assert seen
    assert all(done <= wanted == 6000 for done, wanted in seen)


def test_a_sample_tells_the_range_of_the_truth(redis_server: RedisProcess) -> None:
    client = redis_server.client
    inside = tried = 0
    for part in range(10):
        # Other keys lie elsewhere in the keyspace: of the same ones each sample would be the same.
        client.flushall()
        _fill(redis_server, 30_000, 30_000 * part)
        exact = _by_pattern(PrefixSampling(client, full=True).run())
        found = PrefixSampling(client, sample=3000).run()
        assert not found.complete
        assert 3000 <= found.sampled < 6000
        assert found.keys == 30_000
        for pattern, one in _by_pattern(found).items():
            truth = exact[pattern]
            tried += 2
            assert truth.size is not None
            assert one.size_low is not None
            assert one.size_high is not None
            inside += one.keys_low <= truth.keys <= one.keys_high
            inside += one.size_low <= truth.size <= one.size_high
            assert 0.8 * truth.keys < one.keys < 1.2 * truth.keys
    # Each is right with a probability of 95 %, though not by itself within a sample: three or more
    # samples out of ten that are wrong altogether would be a wonder.
    assert tried == 80
    assert inside > 0.7 * tried


def test_values_are_not_read(redis_server: RedisProcess) -> None:
    _fill(redis_server, 600)
    redis_server.client.config_resetstat()
    PrefixSampling(redis_server.client).run()
    used = {name.partition("|")[0] for name in redis_server.client.info("commandstats")}
    allowed = {"scan", "memory", "ping", "dbsize", "cluster", "info", "config", "hello", "client"}
    assert used <= {f"cmdstat_{name}" for name in allowed}
    assert {"cmdstat_scan", "cmdstat_memory"} <= used


def test_the_whole_of_a_cluster(start_redis: Callable[..., RedisProcess]) -> None:
    cluster = Cluster(start_redis)
    wanted = {f"user:{number}:cart": "x" for number in range(900)}
    client = cluster.servers[0].client
    from perftui.cache.topology import topology

    where = topology(client)
    for key, value in wanted.items():
        where.owner(key.encode()).client.set(key, value)
    where.close()
    found = PrefixSampling(client).run()
    assert (found.keys, found.complete, found.error) == (900, True, "")
    assert _by_pattern(found)[b"user:*:cart"].keys == 900
    part = PrefixSampling(client, sample=90).run()
    assert not part.complete
    assert part.keys == 900
    assert _by_pattern(part)[b"user:*"].keys == pytest.approx(900, abs=2)


def test_cancelling_keeps_what_was_sampled(redis_server: RedisProcess) -> None:
    _fill(redis_server, 30_000)
    run = PrefixSampling(redis_server.client, full=True)
    found = run.run(lambda *_: run.cancel())
    assert (found.cancelled, found.complete) == (True, False)
    assert 0 < found.sampled < 30_000
    assert found.prefixes


def test_sizes_that_are_refused_leave_the_counts(redis_server: RedisProcess) -> None:
    _fill(redis_server)
    redis_server.client.execute_command(
        "ACL", "SETUSER", "bob", "on", "nopass", "~*", "+@all", "-memory"
    )
    import redis

    client = redis.Redis(
        unix_socket_path=redis_server.socket, username="bob", password="", protocol=2
    )
    found = PrefixSampling(client).run()
    client.close()
    assert found.complete
    assert found.size is None
    assert "memory" in found.size_problem
    user = _by_pattern(found)[b"user:*"]
    assert (user.keys, user.size, user.size_high, user.largest_size) == (3000, None, None, None)


def test_keys_that_are_forbidden_have_no_size_and_others_do(redis_server: RedisProcess) -> None:
    _fill(redis_server)
    redis_server.client.execute_command("ACL", "SETUSER", "bob", "on", "nopass", "~user:*", "+@all")
    import redis

    client = redis.Redis(
        unix_socket_path=redis_server.socket, username="bob", password="", protocol=2
    )
    groups = _by_pattern(PrefixSampling(client).run())
    client.close()
    assert groups[b"user:*"].size is not None
    assert groups[b"session:*"].size is None
    assert groups[b"session:*"].keys == 2000


def test_a_server_that_is_gone_is_an_error_and_no_exception(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.ping()
    redis_server.kill()
    found = PrefixSampling(client).run()
    assert found.error
    assert (found.keys, found.prefixes, found.complete) == (0, (), False)


def test_wants_a_separator(redis_server: RedisProcess) -> None:
    with pytest.raises(ValueError, match="separator"):
        PrefixSampling(redis_server.client, separators=b"")


@pytest.mark.parametrize(
    ("key", "prefix", "deeper"),
    [
        (b"user:123:cart", b"user:*", b"user:*:cart"),
        (b"user:123:cart:7", b"user:*", b"user:*:cart:*"),
        (b"user:123", b"user:*", None),
        (b"cache:page:home", b"cache:*", b"cache:page:*"),
        (b"v2:user:7", b"v2:*", b"v2:user:*"),
        (b"shard12:a", b"shard*:*", None),
        (b"key42", b"key*", None),
        (b"home", b"home", None),
        (b"4711", b"*", None),
        (b"s:9f86d081-884c-4d63-9a2f-0123456789ab:x", b"s:*", b"s:*:x"),
        (b"s:deadbeef01:x", b"s:*", b"s:*:x"),
        (b"t:AbC9AbC9AbC9AbC9AbC9:x", b"t:*", b"t:*:x"),
        (b"m:a.b@example.org:x", b"m:*", b"m:*:x"),
        (b"\xff\xfe1:x", b"*:*", None),
        (b"a*b:x", b"a\\*b:*", None),
        (b"log2026-11-23_120000x:x", b"log*x:*", None),
        (b" *0", b" \\**", None),
        (b"n" * 60, b"n" * 48 + b"*", None),
        (b"\x1b[31m:x", b"*:*", None),
        (b"", b"", None),
    ],
)
def test_groups_of_keys(key: bytes, prefix: bytes, deeper: bytes | None) -> None:
    assert KeyGroups().of(key) == (prefix, deeper)


def test_other_separators_stay_as_they_are() -> None:
    assert KeyGroups(b":/").of(b"shop/7:cart") == (b"shop/*", b"shop/*:cart")


_KEYS = st.binary(max_size=40) | st.from_regex(rb"[a-z0-9:*?\[\\]{0,30}", fullmatch=True)


@given(_KEYS)
def test_every_group_is_a_pattern_that_finds_its_key(key: bytes) -> None:
    for group in KeyGroups().of(key):
        assert group is None or matcher(group)(key)


@given(st.binary(max_size=200))
def test_shapes_are_short(part: bytes) -> None:
    assert len(shape(part)) <= 2 * 48 + 60


@given(st.integers(min_value=0, max_value=2**40 - 1))
def test_bits_reversed_twice_are_the_same(number: int) -> None:
    assert reversed_bits(reversed_bits(number)) == number


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1000)), min_size=1, max_size=300))
def test_bounded_memory_loses_no_key(keys: list[tuple[int, int]]) -> None:
    tally = ServerTally(most=8)
    for number, size in keys:
        name = b"n%c" % (97 + number)
        tally.add(name, size, (name, None))
        assert len(tally.sums) <= 8
    totals = Totals()
    totals.add(tally, len(keys))
    found = totals.prefixes(100)
    assert sum(one.keys for one in found) + round(totals.merged) == len(keys)
    assert round(totals.size) == sum(size for _, size in keys)
    for one in found:
        truth = sum(1 for number, _ in keys if b"n%c" % (97 + number) == one.pattern)
        assert one.keys_low <= truth <= one.keys_high


def test_frequent_prefixes_outlive_many_rare_ones() -> None:
    tally = ServerTally(most=64)
    order = [b"often"] * 1000 + [b"word%d" % number for number in range(5000)]
    random.Random(1).shuffle(order)
    for name in order:
        tally.add(name, 10, (name, None))
    assert 0.9 * 1000 < tally.sums[b"often"].count <= 1000


@given(st.integers(1, 1000), st.integers(1, 100_000), st.floats(0, 1))
def test_the_range_holds_the_estimate(sampled: int, population: int, share: float) -> None:
    low, high = wilson(share * population, population, sampled)
    assert 0 <= low <= share * population * (1 + 1e-9)
    assert share * population <= high * (1 + 1e-9) + 1e-9
    assert high <= population * (1 + 1e-9)


@pytest.fixture
def run(
    redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    monkeypatch.delenv("PERFTUI_CONFIG", raising=False)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return lambda *arguments: cli.main(["cache", "prefixes", *arguments])


def test_the_command_prints_a_table(
    run: Callable[..., int], redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server)
    redis_server.client.set("\x1b[31mevil", "x")
    assert run() == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("6,001 keys, ")
    assert "all looked at in" in lines[0]
    assert lines[4].endswith("  50  user:*")
    # The part that is nearly all of its prefix tells its shape.
    assert lines[5].endswith("    user:*:cart")
    assert "\x1b" not in "".join(lines)


def test_the_command_prints_json(
    run: Callable[..., int], redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server)
    assert run("--json", "--limit", "1", "--full") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["keys"], found["complete"]) == (6000, True)
    assert [one["pattern"] for one in found["prefixes"]] == ["user:*", "user:*:cart"]
    assert found["prefixes"][1]["parent"] == "user:*"


def test_the_command_takes_no_pattern_and_tells_of_an_absent_server(
    run: Callable[..., int], redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("user:*") == 2
    assert "does not belong here" in capfd.readouterr().err
    assert run() == 0
    assert capfd.readouterr().out.startswith("0 keys")
    redis_server.kill()
    assert run() == 1
    assert "refused the connection" in capfd.readouterr().err
