"""Deleting by pattern on a real Redis: exactly the right keys, and honest about the rest."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_fixture import RedisProcess

from perftui.cache.glob import matcher
from perftui.cache.invalidation import Invalidation, Progress
from perftui.sources.redis.target import RedisTarget

HOSTILE = [
    b"",
    b" ",
    b"app:\r\n$5\r\nGET x",
    b"app:\xff\xfe\x00",
    b"app:\x1b[2J",
    "app:ключ".encode(),
    b"app:[a-z]*",
    b"app:\\",
    b"app:" + b"x" * 5000,
]


def _fill(client: redis.Redis, keys: list[bytes]) -> None:
    for start in range(0, len(keys), 10_000):
        client.mset(dict.fromkeys(keys[start : start + 10_000], b"v"))


def _keys(client: redis.Redis) -> set[bytes]:
    return set(client.execute_command("KEYS", "*"))


def _user(server: RedisProcess, *rules: str) -> redis.Redis:
    server.client.execute_command("ACL", "SETUSER", "ann", "reset", "on", ">pw", *rules)
    return redis.Redis(unix_socket_path=server.socket, username="ann", password="pw", protocol=2)


def test_deletes_exactly_what_matches_among_100_000_keys(redis_server: RedisProcess) -> None:
    client = redis_server.client
    keys = [b"app:user:%d" % n for n in range(50_000)] + [b"app:item:%d" % n for n in range(50_000)]
    _fill(client, keys + HOSTILE)
    seen: list[Progress] = []
    result = Invalidation(client, "app:user:*7*").run(seen.append)
    matches = matcher(b"app:user:*7*")
    gone = {key for key in keys if matches(key)}
    assert _keys(client) == set(keys + HOSTILE) - gone
    assert result.deleted == result.matched == len(gone)
    assert (result.complete, result.cancelled, result.error, result.denied) == (True, False, "", 0)
    assert result.unanswered == 0
    assert 0 < result.seconds < 60
    assert seen[-1].deleted == len(gone)
    assert seen[-1].total == 100_009
    assert [one.scanned for one in seen] == sorted(one.scanned for one in seen)


@pytest.mark.parametrize(
    "pattern", [b"*", b"app:*", b"app:\xff*", b"app:\\[a-z]\\*", b"?", b"*\n*"]
)
def test_binary_keys(redis_server: RedisProcess, pattern: bytes) -> None:
    _fill(redis_server.client, HOSTILE)
    result = Invalidation(redis_server.client, pattern).run()
    matches = matcher(pattern)
    assert _keys(redis_server.client) == {key for key in HOSTILE if not matches(key)}
    assert result.deleted == sum(map(matches, HOSTILE)) > 0
    assert result.complete


def test_a_client_that_decodes_its_replies_will_do(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, HOSTILE)
    client = redis.Redis(unix_socket_path=redis_server.socket, decode_responses=True)
    assert Invalidation(client, "app:*").run().deleted == 7
    assert client.ping()


def test_a_pattern_without_wildcards_is_one_key(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"a*b", b"aXb"])
    redis_server.client.config_resetstat()
    assert Invalidation(redis_server.client, "a\\*b").run().deleted == 1
    assert _keys(redis_server.client) == {b"aXb"}
    assert "cmdstat_scan" not in redis_server.client.info("commandstats")
    result = Invalidation(redis_server.client, "gone").run()
    assert (result.matched, result.deleted, result.complete) == (1, 0, True)


@pytest.mark.parametrize("pattern", ["", b""])
def test_an_empty_pattern_is_refused(redis_server: RedisProcess, pattern: bytes | str) -> None:
    with pytest.raises(ValueError, match="empty pattern"):
        Invalidation(redis_server.client, pattern)


@pytest.mark.parametrize("pattern", ["*", "perf*", "*:audit", "perftui?*", "[p]erftui:*"])
def test_the_keys_of_perftui_stay(redis_server: RedisProcess, pattern: str) -> None:
    own = {b"perftui:audit", b"perftui:services", b"perftui:report:a/b"}
    _fill(redis_server.client, [*own, b"other:audit"])
    result = Invalidation(redis_server.client, pattern).run()
    assert own <= _keys(redis_server.client)
    assert result.protected == sum(map(matcher(pattern.encode()), own)) > 0
    result = Invalidation(redis_server.client, "perftui:*").run()
    assert (result.deleted, result.protected) == (3, 0)


def test_cancel_stops_at_once_and_counts_rightly(redis_server: RedisProcess) -> None:
    keys = [b"app:%d" % n for n in range(100_000)]
    _fill(redis_server.client, keys)
    run = Invalidation(redis_server.client, "app:*", pace="gentle")
    cancelled_at: list[float] = []

    def cancel_half_way(progress: Progress) -> None:
        if progress.deleted > 5000 and not cancelled_at:
            cancelled_at.append(time.monotonic())
            threading.Timer(0.0, run.cancel).start()

    result = run.run(cancel_half_way)
    assert time.monotonic() - cancelled_at[0] < 1
    assert result.cancelled
    assert not result.complete
    assert 5000 < result.deleted < 100_000
    assert redis_server.client.dbsize() == 100_000 - result.deleted


def test_cancel_does_not_wait_for_a_frozen_server(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:%d" % n for n in range(50_000)])
    run = Invalidation(redis_server.client, "app:*", pace="gentle")
    frozen = threading.Event()

    def freeze(progress: Progress) -> None:
        if not frozen.is_set():
            redis_server.freeze()
            frozen.set()

    results = []
    thread = threading.Thread(target=lambda: results.append(run.run(freeze)))
    thread.start()
    assert frozen.wait(10)
    time.sleep(0.2)
    start = time.monotonic()
    run.cancel()
    thread.join(10)
    took = time.monotonic() - start
    redis_server.thaw()
    assert took < 1
    assert results[0].cancelled
    left = redis_server.client.dbsize()
    assert 50_000 - results[0].deleted - results[0].unanswered <= left
    assert left <= 50_000 - results[0].deleted


def test_a_delete_without_an_answer_is_counted_apart(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:%d" % n for n in range(20_000)])
    run = Invalidation(redis_server.client, "app:*")
    paused = threading.Event()

    def pause_writes(_: Progress) -> None:
        if not paused.is_set():
            paused.set()
            redis_server.client.execute_command("CLIENT", "PAUSE", 20_000, "WRITE")
            threading.Timer(0.1, run.cancel).start()

    result = run.run(pause_writes)
    assert result.cancelled
    assert 0 < result.unanswered <= 500
    assert result.deleted + result.unanswered <= result.matched
    redis_server.client.execute_command("CLIENT", "UNPAUSE")
    left = redis_server.client.dbsize()
    assert 20_000 - result.deleted - result.unanswered <= left <= 20_000 - result.deleted


def test_a_server_that_dies_half_way(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:%d" % n for n in range(50_000)])
    client = redis.Redis(unix_socket_path=redis_server.socket, retry=Retry(NoBackoff(), 0))
    result = Invalidation(client, "app:*", pace="gentle").run(lambda _: redis_server.kill())
    assert not result.complete
    assert not result.cancelled
    assert 0 < result.deleted < 50_000
    assert result.error
    again = Invalidation(client, "app:*").run()
    assert (again.complete, again.deleted) == (False, 0)
    assert "connecting" in again.error


def test_keys_that_the_user_may_not_delete_are_counted(redis_server: RedisProcess) -> None:
    keys = [b"app:%d" % n for n in range(700)] + [b"other:%d" % n for n in range(300)]
    _fill(redis_server.client, keys)
    client = _user(redis_server, "+@all", "-@dangerous", "~app:*")
    result = Invalidation(client, "*").run()
    assert (result.matched, result.deleted, result.denied) == (1000, 700, 300)
    assert (result.complete, result.error) == (True, "")
    assert all(key.startswith(b"other:") for key in _keys(redis_server.client))


def test_a_user_without_scan_is_told(redis_server: RedisProcess) -> None:
    client = _user(redis_server, "+@all", "-scan", "~*")
    result = Invalidation(client, "app:*").run()
    assert not result.complete
    assert "'scan'" in result.error


def test_a_user_who_may_delete_nothing_is_told(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:1"])
    client = _user(redis_server, "+@all", "-unlink", "-del", "~*")
    result = Invalidation(client, "app:*").run()
    assert "neither UNLINK nor DEL" in result.error
    assert not result.complete
    assert redis_server.client.dbsize() == 1


@pytest.mark.parametrize("how", ["acl", "rename"])
def test_uses_del_where_there_is_no_unlink(
    start_redis: Callable[..., RedisProcess], how: str
) -> None:
    options = {"rename_command": 'UNLINK ""'} if how == "rename" else {}
    server = start_redis(**options)
    _fill(server.client, [b"app:%d" % n for n in range(1000)] + [b"b"])
    client = _user(server, "+@all", "-unlink", "~*") if how == "acl" else server.client
    result = Invalidation(client, "app:*").run()
    assert (result.deleted, result.complete, result.error) == (1000, True, "")
    assert _keys(server.client) == {b"b"}
    assert server.client.info("commandstats")["cmdstat_del"]["calls"] >= 10


def test_a_read_only_replica_is_refused_before_the_start(
    start_redis: Callable[..., RedisProcess],
) -> None:
    replica = start_redis(replicaof="127.0.0.1 6390")
    result = Invalidation(replica.client, "app:*").run()
    assert "read-only replica of 127.0.0.1:6390" in result.error
    assert not result.complete
    assert "cmdstat_scan" not in replica.client.info("commandstats")


def test_a_node_of_a_cluster(start_redis: Callable[..., RedisProcess]) -> None:
    with socket.socket() as taken:
        # The bus of a cluster node listens 10,000 above its port.
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1] - 10_000)
    node = start_redis(cluster_enabled="yes", port=port, cluster_config_file="nodes")
    node.client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    deadline = time.monotonic() + 10
    while (
        b"cluster_state:ok" not in node.client.execute_command("CLUSTER", "INFO")
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    for number in range(500):
        node.client.set(f"app:{number}", 1)
    result = Invalidation(node.client, "app:*").run()
    assert (result.deleted, result.denied, result.error) == (500, 0, "")


def test_writes_an_audit_entry(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:1", b"app:\xff"])
    result = Invalidation(redis_server.client, b"app:\xff*", audit_as="ann").run()
    assert result.audit_error == ""
    entries: Any = redis_server.client.xrange("perftui:audit")
    ((_, entry),) = entries
    assert entry[b"who"] == b"ann"
    assert entry[b"action"] == b"invalidate"
    assert entry[b"pattern"] == b"app:\xff*"
    assert entry[b"deleted"] == b"1"
    assert entry[b"complete"] == b"1"
    assert entry[b"host"]
    assert abs(float(entry[b"time"]) - time.time()) < 5


def test_an_audit_that_cannot_be_written_fails_nothing(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:1"])
    client = _user(redis_server, "+@all", "~app:*")
    result = Invalidation(client, "app:*", audit_as="ann").run()
    assert (result.deleted, result.complete, result.error) == (1, True, "")
    assert "no audit entry was written" in result.audit_error


def test_nothing_it_does_counts_as_a_look_up(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:%d" % n for n in range(3000)])
    redis_server.client.config_resetstat()
    assert Invalidation(redis_server.client, "app:1*").run().deleted > 0
    info = redis_server.client.info("stats")
    assert (info["keyspace_hits"], info["keyspace_misses"]) == (0, 0)


def test_no_command_handles_more_than_its_share(redis_server: RedisProcess) -> None:
    _fill(redis_server.client, [b"app:%d" % n for n in range(30_000)])
    redis_server.client.config_set("slowlog-log-slower-than", 0)
    redis_server.client.config_set("slowlog-max-len", 100_000)
    Invalidation(redis_server.client, "app:*").run()
    entries = redis_server.client.slowlog_get(100_000)
    redis_server.client.config_set("slowlog-log-slower-than", -1)
    scans = [entry["command"].split() for entry in entries if entry["command"][:4] == b"SCAN"]
    assert scans
    assert all(100 <= int(scan[-1]) <= 2000 for scan in scans)
    # The slow log cuts a long command at 32 words and says how many more there were.
    unlinks = [entry["command"] for entry in entries if entry["command"][:6] == b"UNLINK"]
    more = [int(text.split(b"... (")[1].split()[0]) for text in unlinks if b"... (" in text]
    assert max(more) + 31 <= 501


def test_works_with_the_monitors_own_client(redis_server: RedisProcess) -> None:
    from perftui.sources.redis.connection import connect

    _fill(redis_server.client, [b"app:1", b"b"])
    client = connect(RedisTarget.parse(redis_server.url))
    assert Invalidation(client, "app:*").run().deleted == 1
    client.close()
