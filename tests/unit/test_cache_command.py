"""`perftui cache` as a shell sees it, with and without a terminal."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis_fixture import RedisProcess

from perftui import cli
from perftui.cache.key_listing import KeyListing

Run = Callable[..., int]


@pytest.fixture
def environment(redis_server: RedisProcess, tmp_path: Path) -> dict[str, str]:
    return {
        "REDIS_URL": redis_server.url,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def run(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("PERFTUI_CONFIG", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: cli.main(["cache", *arguments])


def _on_terminal(
    environment: dict[str, str], arguments: list[str], answer: bytes, interrupt: bytes = b""
) -> tuple[int, str]:
    """Run on a terminal, answer its question, and return the exit code and what it showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(environment)
        os.execv(sys.executable, [sys.executable, "-m", "perftui", "cache", *arguments])
    shown = b""
    answered = interrupted = False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            data = os.read(terminal, 10_000)
        except OSError:
            break
        if not data:
            break
        shown += data
        if not answered and b"to go on: " in shown:
            answered = True
            os.write(terminal, answer + b"\n")
        if interrupt and not interrupted and interrupt in shown:
            interrupted = True
            os.kill(process, signal.SIGINT)
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()


def _fill(server: RedisProcess, keys: int) -> None:
    server.client.mset({f"app:{n}": n for n in range(keys)} | {"other": 1})


def test_dry_run_deletes_nothing(
    run: Run, redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server, 300)
    assert run("invalidate", "app:*", "--dry-run") == 0
    said = capfd.readouterr().out
    assert said.startswith("300 keys match app:* at ")
    assert "and 280 more" in said
    assert run("invalidate", "app:*", "--dry-run", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["matched"], found["complete"], found["undoable"]) == (300, True, True)
    assert redis_server.client.dbsize() == 301


def test_without_a_terminal_it_wants_yes(
    run: Run, redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server, 3)
    assert run("invalidate", "app:*") == 2
    assert "--yes" in capfd.readouterr().err
    assert redis_server.client.dbsize() == 4


def test_invalidate_undo_and_audit(
    run: Run, redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server, 300)
    redis_server.client.pexpire("app:7", 500_000)
    assert run("invalidate", "app:*", "--yes", "--json") == 0
    done = json.loads(capfd.readouterr().out)
    assert (done["deleted"], done["complete"], done["error"]) == (300, True, "")
    assert base64.b64decode(done["pattern_base64"]) == b"app:*"
    assert done["kept"]["keys"] == 300
    assert redis_server.client.keys("app:*") == []
    assert run("undo", "--dry-run", "--json") == 0
    assert json.loads(capfd.readouterr().out)["keys"] == 300
    assert run("undo") == 2
    assert run("undo", done["kept"]["id"], "--yes", "--json") == 0
    undone = json.loads(capfd.readouterr().out)
    assert (undone["restored"], undone["complete"]) == (300, True)
    assert 400_000 < redis_server.client.pttl("app:7") <= 500_000
    assert run("undo", "--yes") == 1
    assert "nothing to undo" in capfd.readouterr().err
    assert run("undo", "nothing", "--yes") == 1
    capfd.readouterr()
    assert run("audit", "--json") == 0
    entries = json.loads(capfd.readouterr().out)["entries"]
    assert [(one["action"], one["deleted"]) for one in entries] == [
        ("undo", 300),
        ("invalidate", 300),
    ]
    assert run("audit", "--limit", "1") == 0
    assert capfd.readouterr().out.count("\n") == 1


def test_no_undo_keeps_nothing(
    run: Run, redis_server: RedisProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server, 10)
    assert run("invalidate", "app:*", "--yes", "--no-undo", "--pace", "gentle") == 0
    said = capfd.readouterr()
    assert "deleted 10 keys" in said.out
    assert "cannot be undone" in said.err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("pattern", "answer", "code"),
    [("app:*", b"300", 0), ("app:*", b"30", 3), ("*", b"301", 3), ("app:*", b"", 3)],
)
def test_on_a_terminal_the_count_is_typed(
    environment: dict[str, str], redis_server: RedisProcess, pattern: str, answer: bytes, code: int
) -> None:
    _fill(redis_server, 300)
    ended, shown = _on_terminal(environment, ["invalidate", pattern], answer)
    assert ended == code, shown
    # A deletion leaves the audit beside the other key.
    assert redis_server.client.dbsize() == (2 if code == 0 else 301)
    assert ("nothing was changed" in shown) is (code != 0)


def test_an_interrupt_ends_it_tidily(
    environment: dict[str, str], redis_server: RedisProcess
) -> None:
    keys = 60_000
    for start in range(0, keys, 10_000):
        redis_server.client.mset({f"app:{n}": n for n in range(start, start + 10_000)})
    code, shown = _on_terminal(
        environment,
        ["invalidate", "app:*", "--yes", "--no-undo", "--pace", "gentle"],
        b"",
        interrupt=b"deleted",
    )
    assert code == 3, shown
    found = re.search(r"deleted ([\d,]+) keys of app:\* at .*, cancelled", shown)
    assert found, shown
    deleted = int(found[1].replace(",", ""))
    # The audit is a key too.
    assert redis_server.client.dbsize() == keys - deleted + 1
    assert "Traceback" not in shown


def test_keys_of_others_make_it_incomplete(
    run: Run,
    redis_server: RedisProcess,
    capfd: pytest.CaptureFixture[str],
) -> None:
    redis_server.client.mset({"app:1": 1, "other:1": 1})
    redis_server.client.execute_command(
        "ACL", "SETUSER", "ann", "on", ">pw", "+@all", "~app:*", "~perftui:*", "&*"
    )
    url = redis_server.url.replace("unix://", "unix://ann:pw@")
    assert run("invalidate", "*", "--yes", "--no-undo", "--redis", url) == 3
    said = capfd.readouterr().out
    assert "1 keys may not be deleted by this user" in said
    assert redis_server.client.keys("*:1") == [b"other:1"]


def test_a_replica_is_refused(
    run: Run, start_redis: Callable[..., RedisProcess], capfd: pytest.CaptureFixture[str]
) -> None:
    replica = start_redis(replicaof="127.0.0.1 1")
    assert run("invalidate", "*", "--yes", "--redis", replica.url) == 1
    assert "read-only replica of 127.0.0.1:1" in capfd.readouterr().err


def test_scan_lists_and_counts_as_nothing(
    run: Run, redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server, 300)
    redis_server.client.set(b"app:\xff\x1b[2J", "x" * 5000)
    redis_server.client.config_resetstat()
    assert run("scan", "app:*", "--limit", "20") == 0
    said = capfd.readouterr()
    assert said.out.count("\n") == 21
    assert "stopped after 20 keys" in said.err
    assert run("scan", "app:\\xff*", "--json") == 0
    (line,) = capfd.readouterr().out.splitlines()
    key = json.loads(line)
    assert base64.b64decode(key["key_base64"]) == b"app:\xff\x1b[2J"
    assert key["key"] == "app:\\xff\\x1b[2J"
    assert key["size"] > 5000
    assert run("scan", "--limit", "1000") == 0
    assert capfd.readouterr().out.count("\n") == 303
    info = redis_server.client.info("stats")
    assert (info["keyspace_hits"], info["keyspace_misses"]) == (0, 0)


def test_details_are_what_redis_counts(redis_server: RedisProcess) -> None:
    client = redis_server.client
    client.hset("app:h", mapping={"a": 1})
    client.set("app:s", 1, px=90_000)
    client.rpush("app:l", 1)
    client.config_resetstat()
    page = KeyListing(client, b"app:*", details=True).next_page(10)
    info = client.info("stats")
    assert (page.hits, page.misses) == (info["keyspace_hits"], info["keyspace_misses"])
    found = {one.key: one for one in page.keys}
    assert {key: one.type for key, one in found.items()} == {
        b"app:h": "hash",
        b"app:s": "string",
        b"app:l": "list",
    }
    assert found[b"app:h"].ttl is None
    ttl = found[b"app:s"].ttl
    assert ttl is not None
    assert 60 < ttl <= 90
    assert page.done


def test_stats_has_the_server_and_the_caches(
    run: Run, redis_server: RedisProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    _fill(redis_server, 10)
    assert run("stats", "--seconds", "0.3") == 0
    said = capfd.readouterr().out
    assert "keys      11" in said
    assert "no service reports a cache" in said
    assert run("stats", "--seconds", "0.3", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["redis"]["keys"] == 11
    assert found["services"] == []
    assert "redis.memory_limit" in found["states"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["invalidate"], 2, "say which keys"),
        (["invalidate", ""], 2, "say which keys"),
        (["scan", "--limit", "0"], 2, "--limit"),
        (["stats", "x"], 2, "does not belong here"),
        (["audit", "--redis", "redis://127.0.0.1:1"], 1, "refused the connection"),
        (["invalidate", "a*", "--yes", "--redis", "redis://127.0.0.1:1"], 1, "refused"),
        (["flush"], 2, "invalidate"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    run: Run, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert run(*arguments) == code
    said = capfd.readouterr()
    assert words in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


def test_without_a_redis_it_says_how_to_name_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REDIS_URL")
    assert run("audit") == 2
    assert "--redis URL" in capfd.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(
    environment: dict[str, str], redis_server: RedisProcess
) -> None:
    _fill(redis_server, 5000)
    command = [sys.executable, "-m", "perftui", "cache", "scan", "--limit", "5000"]
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().endswith("key\n")
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0
    assert "Traceback" not in said
