"""What is known of an invalidation before it begins, and its pace while it runs."""

from __future__ import annotations

from pathlib import Path

from redis_fixture import RedisProcess

from perftui.cache.estimate import estimate
from perftui.cache.forecast import deletion_refusal, undo_outlook
from perftui.cache.invalidation import Invalidation, Progress
from perftui.cache.pacing import FIRST_PAGE, LARGEST_PAGE, Pacing
from perftui.confirmation import confirmation_word
from perftui.sources.redis.target import RedisTarget


def test_the_pace_can_be_changed_while_it_is_kept() -> None:
    pacing = Pacing(gentle=False)
    assert not any(pacing.rest_due() for _ in range(20))
    assert pacing.page == LARGEST_PAGE
    pacing.gentle = True
    assert pacing.rest_due()
    assert pacing.page == FIRST_PAGE
    pacing.gentle = False
    assert not pacing.rest_due()


def test_a_run_takes_a_new_pace(redis_server: RedisProcess) -> None:
    redis_server.client.execute_command("DEBUG", "POPULATE", 60_000, "big", 10)
    run = Invalidation(redis_server.client, "big:*", "normal")
    pages: list[int] = []

    def told(progress: Progress) -> None:
        pages.append(progress.page)
        run.set_pace("gentle")

    assert run.run(told).deleted == 60_000
    assert pages[-1] <= FIRST_PAGE


def test_nothing_stands_against_it_and_no_hit_is_counted(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.mset({"a:1": 1, "a:2": 2})
    found = estimate(client, "a:*")
    assert deletion_refusal(client, b"a:*") == ""
    assert undo_outlook(client, b"a:*", found) == ""
    assert client.dbsize() == 2
    assert client.info("stats")["keyspace_hits"] == 0


def test_why_keys_cannot_be_deleted_or_put_back(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.set("a:1", "x" * 1_100_000)
    found = estimate(client, "a:*")
    assert "above 1 MB" in undo_outlook(client, b"a:*", found)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert deletion_refusal(client, b"a:*").startswith("this server is a read-only replica of")


def test_a_run_that_kept_nothing_because_all_was_large_says_so(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    redis_server.client.set("a:1", "x" * 1_100_000)
    result = Invalidation(redis_server.client, "a:*", keep=True, journals=tmp_path).run()
    assert (result.deleted, result.kept) == (1, None)
    assert "not to be undone: every key was larger than 1 MB" in result.notes


def test_the_word_is_the_count_as_long_as_somebody_reads_it() -> None:
    target = RedisTarget.parse("redis://cache-1.example")
    assert confirmation_word(b"a:*", 10_000, target) == "10000"
    assert confirmation_word(b"a:*", 10_001, target) == "cache-1.example"
    assert confirmation_word(b"a:*", None, target) == "cache-1.example"
    assert confirmation_word(b"**", 3, target) == "cache-1.example"
