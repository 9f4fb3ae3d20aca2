"""The details of Redis: asked for by a zoomed pane only, and told by `once`."""

from __future__ import annotations

import json

import pytest
from redis_fixture import RedisProcess

from perftui import cli
from perftui.config import Redis, Settings
from perftui.output.document import document
from perftui.output.once import report
from perftui.snapshot import (
    Absent,
    CommandUse,
    ErrorRate,
    RedisDetail,
    SlowCommand,
    Snapshot,
    State,
)
from perftui.source_demand import AT_FIRST, ON_DEMAND
from perftui.sources.catalogue import build_sources

OLD = Absent(State.UNAVAILABLE, "this server keeps no latency per command; Redis 7.0 does")
DETAIL = RedisDetail(
    commands=(CommandUse("GET", 1200.0, 2e-6, 0.24, 0.0, 0.0, OLD),),
    slow=(SlowCommand(7, 1_767_225_600.0, 0.25, "KEYS \x1b[31m*", "worker 10.0.0.7:4711"),),
    slower_than=0.01,
    errors=(ErrorRate("OOM", 3.0, 12),),
)


def test_it_runs_on_demand_and_not_before_anybody_asks() -> None:
    assert "redis_detail" in ON_DEMAND
    assert "redis_detail" not in AT_FIRST
    names = [source.name for source in build_sources(Settings(redis=Redis(url="redis://x")))]
    assert "redis_detail" in names


def test_the_text_tells_commands_slow_log_and_errors() -> None:
    text = report(Snapshot(1, 0.0, 0.0, redis_detail=DETAIL))
    assert "1.20 k/s  2.00 us        -       0/s       0/s  GET" in text
    assert "2026-01-01T00:00:00.000Z   250 ms  KEYS" in text
    assert "3/s         12  OOM" in text
    assert "\x1b" not in text
    assert "redis_detail.commands[].p99: unavailable: this server keeps no latency" in text


def test_parts_that_are_missing_are_told_once() -> None:
    denied = Absent(State.DENIED, "user bob may not", "ACL SETUSER bob +info")
    text = report(
        Snapshot(1, 0.0, 0.0, redis_detail=RedisDetail(denied, DETAIL.slow, denied, denied))
    )
    assert text.count("user bob may not") == 3
    assert "KEYS" in text
    assert "redis_detail" not in text


def test_nothing_is_said_where_nobody_asked() -> None:
    assert "Redis commands" not in report(Snapshot(1, 0.0, 0.0))


def test_the_document_has_the_details() -> None:
    found = document(Snapshot(1, 0.0, 0.0, redis_detail=DETAIL))
    detail = found["redis_detail"]
    assert isinstance(detail, dict)
    assert detail["commands"][0]["p99"] is None
    states = found["states"]
    assert isinstance(states, dict)
    assert "redis_detail.commands.0.p99" in states


def test_once_measures_them(
    redis_server: RedisProcess,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PERFTUI_CONFIG", raising=False)
    assert cli.main(["once", "--json", "--seconds", "0.5", "--redis", redis_server.url]) == 0
    detail = json.loads(capfd.readouterr().out)["redis_detail"]
    used = {one["name"]: one for one in detail["commands"]}
    assert used["INFO"]["calls_rate"] > 0
    assert detail["slow"] == []
    assert detail["slower_than"] == 0.01
    assert isinstance(detail["errors"], list)


@pytest.mark.parametrize("refused", ["config|get", "info"])
def test_the_fix_can_be_pasted_into_a_shell(refused: str) -> None:
    import shlex

    from redis import ResponseError

    from perftui.sources.redis.failure import failure
    from perftui.sources.redis.target import RedisTarget

    error = ResponseError(f"User bob has no permissions to run the '{refused}' command")
    absent = failure(error, RedisTarget.parse("unix://bob:x@/s")).absent
    assert "'" in absent.fix or "|" not in absent.fix
    assert shlex.split(absent.fix)[-1] == f"+{refused}"
