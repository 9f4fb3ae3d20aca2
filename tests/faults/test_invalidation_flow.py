"""Deleting by pattern from the keyboard, on a real Redis with 100,000 keys."""

from __future__ import annotations

import re
import socket
import time

from dashboard_session import Dashboard
from redis_fixture import RedisProcess

WORD = re.compile(r"Type (\S+) and press enter to delete")
DELETED = re.compile(r"([\d,]+) deleted")
RESULT = re.compile(r"(complete|cancelled): ([\d,]+) keys deleted in")
UNANSWERED = re.compile(r"([\d,]+) keys? sent for deletion and never answered for")
KEYS = 100_000


def number(text: str) -> int:
    return int(text.replace(",", ""))


def fill(server: RedisProcess, prefix: str, count: int) -> None:
    server.client.execute_command("DEBUG", "POPULATE", count, prefix, 10)


def matching(server: RedisProcess, pattern: str) -> int:
    return sum(1 for _ in server.client.scan_iter(pattern, count=5000))


def confirm(session: Dashboard, pattern: str) -> str:
    """Go as far as the typed confirmation; returns the word that is wanted."""
    session.press("i", "Pattern")
    session.press(pattern, "keys match")
    session.press("\r", "press enter to delete")
    found = WORD.search(session.text())
    assert found is not None
    return found[1]


def outcome(session: Dashboard, timeout: float = 20.0) -> tuple[str, int]:
    """Word and count of the result."""
    session.wait_until(lambda: RESULT.search(session.text()) is not None, "result", timeout)
    found = RESULT.search(session.text())
    assert found is not None
    return found[1], number(found[2])


def test_exactly_the_matching_keys_go(redis_server: RedisProcess) -> None:
    fill(redis_server, "user", 60_000)
    fill(redis_server, "order", KEYS - 60_000)
    with Dashboard("--redis", redis_server.url, "--allow-actions") as session:
        session.wait_words("4 Cache", "ping")
        word = confirm(session, "order:1?")
        session.press("no\r", f"that is not {word}: nothing was deleted")
        assert redis_server.client.dbsize() == KEYS
        session.send("\x15")
        session.wait_gone("nothing was deleted")
        session.send(word + "\r")
        assert outcome(session) == ("complete", 10)
        assert matching(redis_server, "order:*") == KEYS - 60_000 - 10
        assert matching(redis_server, "order:1?") == 0
        session.send("\r")
        session.wait_gone("Invalidate")

        # Very many keys: not their number, which nobody reads, but the name of the place.
        word = confirm(session, "user:*")
        assert word == socket.gethostname()
        session.send(f"{word}\r")
        assert outcome(session) == ("complete", 60_000)
        assert matching(redis_server, "user:*") == 0
        assert matching(redis_server, "order:*") == KEYS - 60_000 - 10
        entries = redis_server.client.xrange("perftui:audit")
        assert [entry[b"deleted"] for _, entry in entries] == [b"10", b"60000"]
        session.send("\r")
        session.wait_gone("Invalidate")
        session.send("q")
        assert session.wait_exit(5) == 0


def begin_large(session: Dashboard) -> int:
    """Start to delete everything; returns when the first count is shown."""
    session.wait_words("4 Cache", "ping")
    session.send(confirm(session, "big:*") + "\r")
    session.wait_until(lambda: DELETED.search(session.text()) is not None, "count")
    found = DELETED.search(session.text())
    assert found is not None
    return number(found[1])


def test_cancel_says_how_many_went(redis_server: RedisProcess) -> None:
    total = 400_000
    fill(redis_server, "big", total)
    with Dashboard("--redis", redis_server.url, "--allow-actions") as session:
        assert begin_large(session) < total
        session.send("\x1b")
        begin = time.monotonic()
        word, deleted = outcome(session, 3)
        print(f"cancelled after {time.monotonic() - begin:.3f} s, {deleted:,} gone")
        assert word == "cancelled"
        left = matching(redis_server, "big:*")
        assert 0 < left < total
        assert left == total - deleted
        time.sleep(0.3)
        assert matching(redis_server, "big:*") == left
        entry = redis_server.client.xrange("perftui:audit")[0][1]
        assert entry[b"deleted"] == str(deleted).encode()
        assert entry[b"complete"] == b"0"


def test_cancel_while_redis_does_not_answer(redis_server: RedisProcess) -> None:
    total = 400_000
    fill(redis_server, "big", total)
    with Dashboard("--redis", redis_server.url, "--allow-actions") as session:
        begin_large(session)
        redis_server.freeze()
        session.read_for(0.2)
        session.send("\x1b")
        # At once, although Redis is asked to note it and does not answer.
        session.wait_for("Cancelled", 3)
        session.read_for(0.5)
        found = DELETED.search(session.text())
        assert found is not None
        known = number(found[1])
        word, deleted = outcome(session)
        # Progress comes ten times a second: what it said last is at most what was deleted.
        assert word == "cancelled"
        assert known <= deleted
        open_ = UNANSWERED.search(session.text())
        assert "no audit entry was written" in session.text()
        redis_server.thaw()
        gone = total - matching(redis_server, "big:*")
        assert deleted <= gone <= deleted + (number(open_[1]) if open_ else 0)
        session.send("\r")
        session.wait_gone("Invalidate")


def test_leaving_a_dialog_that_waits_for_redis(redis_server: RedisProcess) -> None:
    fill(redis_server, "big", 200_000)
    with Dashboard("--redis", redis_server.url, "--allow-actions") as session:
        begin_large(session)
        redis_server.freeze()
        session.read_for(0.2)
        session.send("\x1b")
        session.wait_for("Cancelled", 3)
        session.send("\x1b")
        session.wait_gone("Invalidate", 3)
        session.send("q")
        assert session.wait_exit(5) == 0


def test_read_only_refuses(redis_server: RedisProcess) -> None:
    redis_server.client.set("key", "value")
    with Dashboard("--redis", redis_server.url) as session:
        session.wait_words("4 Cache", "ping")
        session.press("i", "read-only: start with --allow-actions to invalidate")
        session.read_for(0.2)
        assert "Pattern" not in session.text()
        assert redis_server.client.dbsize() == 1


def test_without_redis_there_is_nothing_to_delete() -> None:
    with Dashboard("--allow-actions") as session:
        session.wait_filled()
        session.press("i", "no Redis is configured: start with --redis URL")
