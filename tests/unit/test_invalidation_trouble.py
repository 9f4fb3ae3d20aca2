"""Deleting while the server is slow, full, frozen or read-only, and counting without deleting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_fixture import RedisProcess

from perftui.cache.audit import read_audit, record_audit
from perftui.cache.dry_run import DryRun
from perftui.cache.invalidation import Invalidation, Progress
from perftui.cache.latency_guard import LatencyGuard
from perftui.cache.pacing import FIRST_PAGE, LARGEST_PAGE, SMALLEST_PAGE, Pacing


class _Guard(LatencyGuard):
    """A guard whose verdicts the test gives."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.slow = True

    def too_slow(self) -> bool:
        return self.slow


def test_the_guard_halves_the_page_and_gives_it_back(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("perftui.cache.pacing.time.perf_counter", lambda: now[0])
    guard = _Guard(redis_server.client)
    pacing = Pacing(gentle=False)
    pacing._guard = guard
    sizes = []
    for _ in range(8):
        now[0] += 0.2
        assert pacing.rest_due()
        sizes.append(pacing.page)
    assert sizes[:2] == [FIRST_PAGE // 2, FIRST_PAGE // 4]
    assert sizes[-1] == SMALLEST_PAGE
    assert pacing.slowed == 8
    guard.slow = False
    now[0] += 0.2
    assert not pacing.rest_due()
    assert pacing.page == SMALLEST_PAGE
    for _ in range(100):
        now[0] += 0.2
        assert not pacing.rest_due()
    assert pacing.page == LARGEST_PAGE


def test_the_guard_sees_what_others_wait(redis_server: RedisProcess) -> None:
    guard = LatencyGuard(redis_server.client)
    guard.start()
    redis_server.client.config_set("slowlog-log-slower-than", -1)
    redis_server.client.execute_command("CLIENT", "LIST")
    deadline = time.monotonic() + 5
    while guard.p99 is None and time.monotonic() < deadline:
        time.sleep(0.01)
    redis_server.freeze()
    time.sleep(0.2)
    redis_server.thaw()
    slow = False
    while not slow and time.monotonic() < deadline:
        time.sleep(0.01)
        slow = guard.too_slow()
    guard.stop()
    assert slow
    assert guard.p99 is not None
    assert guard.p99 > 0.05
    assert guard.problem == ""


def test_a_run_says_that_it_went_slower(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.cache.pacing.VERDICT_INTERVAL", 0.0)
    monkeypatch.setattr(LatencyGuard, "too_slow", lambda self: True)
    redis_server.client.mset({f"app:{n}": n for n in range(3000)})
    result = Invalidation(redis_server.client, "app:*").run()
    assert (result.deleted, result.complete) == (3000, True)
    assert result.slowed > 2
    assert "went slower" in result.notes[0]
    assert result.p99 is not None


def test_without_a_second_connection_it_deletes_unwatched(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"app:{n}": n for n in range(3000)})
    pool = redis.ConnectionPool(
        connection_class=redis.UnixDomainSocketConnection,
        path=redis_server.socket,
        max_connections=1,
    )
    result = Invalidation(redis.Redis(connection_pool=pool), "app:*").run()
    assert (result.deleted, result.complete, result.p99) == (3000, True, None)
    assert "not watched" in " ".join(result.notes)


def test_out_of_memory_deletes_and_says_that_the_record_is_missing(
    redis_server: RedisProcess,
) -> None:
    redis_server.client.mset({f"app:{n}": n for n in range(1000)})
    redis_server.client.config_set("maxmemory", 1)
    result = Invalidation(redis_server.client, "app:*", audit_as="ann").run()
    assert (result.deleted, result.complete, result.error) == (1000, True, "")
    assert "maxmemory" in result.audit_error


def test_a_real_replica_names_its_primary(start_redis: Callable[..., RedisProcess]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    primary = start_redis(port=str(port))
    primary.client.mset({f"app:{n}": n for n in range(100)})
    replica = start_redis(replicaof=f"127.0.0.1 {port}")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if replica.client.dbsize() == 100:
                break
        except redis.ResponseError:
            pass
        time.sleep(0.05)
    result = Invalidation(replica.client, "app:*").run()
    assert f"read-only replica of 127.0.0.1:{port}" in result.error
    assert (result.deleted, replica.client.dbsize()) == (0, 100)
    # What was not even begun has no record, which a replica would refuse too.
    refused = Invalidation(replica.client, "app:*", audit_as="ann").run()
    assert ("replica" in refused.error, refused.audit_error) == (True, "")
    assert DryRun(replica.client, "app:*").run().matched == 100


def test_a_frozen_server_does_not_hold_up_the_end(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"app:{n}": n for n in range(30_000)})
    client = redis.Redis(
        unix_socket_path=redis_server.socket, socket_timeout=30, retry=Retry(NoBackoff(), 0)
    )
    run = Invalidation(client, "app:*", pace="gentle", audit_as="ann")
    frozen = threading.Event()

    def freeze(_: Progress) -> None:
        if not frozen.is_set():
            redis_server.freeze()
            frozen.set()
            threading.Timer(0.1, run.cancel).start()

    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(run.run(freeze)), daemon=True)
    thread.start()
    assert frozen.wait(10)
    start = time.monotonic()
    thread.join(10)
    took = time.monotonic() - start
    redis_server.thaw()
    assert took < 5
    assert results[0].cancelled
    assert "no answer within" in results[0].audit_error


def test_a_record_is_not_waited_for_long(redis_server: RedisProcess) -> None:
    client = redis.Redis(unix_socket_path=redis_server.socket, socket_timeout=30)
    client.ping()
    redis_server.freeze()
    said = record_audit(
        client, who="a", action="b", pattern=b"c", deleted=1, complete=True, patience=0.2
    )
    redis_server.thaw()
    assert "no answer within 0.2 s" in said


def test_entries_of_others_in_the_audit_are_read_too(redis_server: RedisProcess) -> None:
    redis_server.client.xadd("perftui:audit", {"who": b"\xff", "deleted": "x", "time": "never"})
    redis_server.client.xadd("perftui:audit", {"deleted": "7", "complete": 1, "time": "12.5"})
    newest, oldest = read_audit(redis_server.client)
    assert (newest.deleted, newest.complete, newest.time) == (7, True, 12.5)
    assert (oldest.who, oldest.deleted) == ("\\xff", 0)
    assert abs(oldest.time - time.time()) < 60


def test_a_dry_run_counts_exactly_and_deletes_nothing(redis_server: RedisProcess) -> None:
    names = {f"{'app' if n % 3 else 'other'}:{n}": n for n in range(30_000)}
    redis_server.client.mset(names | {"perftui:audit": 1})
    redis_server.client.config_resetstat()
    seen: list[tuple[int, int, int]] = []
    found = DryRun(redis_server.client, "*p*:*").run(lambda *three: seen.append(three))
    assert (found.matched, found.protected, found.complete, found.error) == (20_000, 1, True, "")
    assert len(found.samples) == 20
    assert all(key.startswith(b"app:") for key in found.samples)
    assert seen[-1][1] == 30_001
    info = redis_server.client.info("stats")
    assert (info["keyspace_hits"], info["keyspace_misses"]) == (0, 0)
    assert redis_server.client.dbsize() == 30_001


def test_a_dry_run_of_one_key(redis_server: RedisProcess) -> None:
    redis_server.client.set("a*", 1)
    assert DryRun(redis_server.client, b"a\\*").run().samples == (b"a*",)
    assert DryRun(redis_server.client, b"a").run().matched == 0


def test_a_dry_run_can_be_cancelled(redis_server: RedisProcess) -> None:
    redis_server.client.mset({f"app:{n}": n for n in range(50_000)})
    run = DryRun(redis_server.client, "app:*", "gentle")
    found = run.run(lambda *_: run.cancel())
    assert (found.complete, found.cancelled) == (False, True)
    assert 0 < found.matched < 50_000


def test_a_delete_of_one_key_is_audited_as_such(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.mset({"app:[1]": 1, "app:1": 1})
    run = Invalidation(
        redis_server.client,
        b"app:\\[1\\]",
        audit_as="ann",
        action="delete",
        keep=True,
        journals=tmp_path,
    )
    result = run.run()
    assert (result.deleted, result.kept and result.kept.keys) == (1, 1)
    assert redis_server.client.keys("app:*") == [b"app:1"]
    assert read_audit(redis_server.client)[0].action == "delete"
