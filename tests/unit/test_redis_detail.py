"""Commands, slow log and errors of real servers, and of texts as other versions send them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis_fixture import RedisProcess

from perftui.snapshot import FIRST_SAMPLE, Absent, CommandUse, Maybe, RedisDetail, State
from perftui.sources.redis.command_statistics import StatisticsWindow, parse_statistics
from perftui.sources.redis.detail import ASK_AGAIN, RedisDetailSource
from perftui.sources.redis.slow_log import command_with_key, slow_commands
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError

NO_P99 = Absent(State.UNAVAILABLE, "none")


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _commands(detail: RedisDetail) -> dict[str, CommandUse]:
    assert not isinstance(detail.commands, Absent), detail.commands
    return {one.name: one for one in detail.commands}


def _number(value: Maybe[float]) -> float:
    assert not isinstance(value, Absent), value
    return value


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(redis_server: RedisProcess, clock: Clock) -> RedisDetailSource:
    return RedisDetailSource(RedisTarget.parse(redis_server.url), clock=clock)


def _two(source: RedisDetailSource, clock: Clock, between: Callable[[], object]) -> RedisDetail:
    source.sample()
    between()
    clock.now += 2
    return source.sample()


def test_rates_of_commands_and_errors(
    source: RedisDetailSource, redis_server: RedisProcess, clock: Clock
) -> None:
    client = redis_server.client
    client.set("text", "x")
    first = source.sample()
    assert (first.commands, first.errors) == (FIRST_SAMPLE, FIRST_SAMPLE)

    def work() -> None:
        for _ in range(40):
            client.get("text")
        for _ in range(4):
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "x")
        client.config_set("maxmemory", "1")
        for _ in range(2):
            with pytest.raises(redis.ResponseError):
                client.set("more", "x")
        client.config_set("maxmemory", "0")

    detail = _two(source, clock, work)
    found = _commands(detail)
    get = found["GET"]
    assert get.calls_rate == 20
    assert get.percent == pytest.approx(20 * _number(get.seconds) * 100)
    assert (found["LPUSH"].calls_rate, _number(found["LPUSH"].failed_rate)) == (2, 2)
    rejected = found["SET"]
    assert (rejected.calls_rate, rejected.percent, _number(rejected.rejected_rate)) == (0, 0, 1)
    # What was never executed has no mean time, which is not a time of zero.
    assert isinstance(rejected.seconds, Absent)
    shares = [one.percent for one in found.values()]
    assert shares == sorted(shares, reverse=True)
    assert not isinstance(detail.errors, Absent)
    counted = {one.name: (one.rate, one.count) for one in detail.errors}
    assert counted["WRONGTYPE"] == (2, 4)
    assert counted["OOM"] == (1, 2)
    source.close()


def test_rates_are_of_the_last_ten_seconds_and_begin_anew_after_a_rest(
    source: RedisDetailSource, redis_server: RedisProcess, clock: Clock
) -> None:
    def work() -> None:
        for _ in range(12):
            redis_server.client.get("text")

    assert _commands(_two(source, clock, work))["GET"].calls_rate == 6
    for _ in range(4):
        clock.now += 2
        detail = source.sample()
    assert _commands(detail)["GET"].calls_rate == pytest.approx(1.2)
    clock.now += 2
    assert "GET" not in _commands(source.sample())
    work()
    source.rested()
    clock.now += 1000
    assert source.sample().commands == FIRST_SAMPLE
    source.close()


@pytest.mark.parametrize("how", ["restart", "resetstat"])
def test_begins_anew_when_the_counters_do(
    source: RedisDetailSource, redis_server: RedisProcess, clock: Clock, how: str
) -> None:
    def work() -> None:
        for _ in range(9):
            redis_server.client.get("text")

    work()
    _two(source, clock, work)
    if how == "restart":
        redis_server.restart()
    else:
        redis_server.client.config_resetstat()
    clock.now += 2
    detail = source.sample()
    assert (detail.commands, detail.errors) == (FIRST_SAMPLE, FIRST_SAMPLE)
    work()
    clock.now += 2
    assert _commands(source.sample())["GET"].calls_rate == 4.5
    source.close()


def test_slow_log_has_no_secrets(
    source: RedisDetailSource, redis_server: RedisProcess, clock: Clock
) -> None:
    client = redis_server.client
    client.config_set("slowlog-log-slower-than", 0)
    client.client_setname("worker")
    client.set("user:7", "secret-value")
    client.eval("return 'secret-script'", 1, "secret-key")
    client.execute_command("ACL", "SETUSER", "secret-user", ">secret-word")
    client.config_set("requirepass", "secret-word")
    client.config_set("requirepass", "")
    client.config_set("slowlog-log-slower-than", 10_000)
    detail = source.sample()
    assert not isinstance(detail.slow, Absent)
    commands = [one.command for one in detail.slow]
    assert "SET user:7" in commands
    assert {"EVAL", "ACL", "CONFIG"} <= set(commands)
    assert "secret" not in str(detail)
    assert [one.id for one in detail.slow] == sorted((one.id for one in detail.slow), reverse=True)
    named = next(one for one in detail.slow if one.command == "SET user:7")
    assert named.client.startswith("worker ")
    assert named.time > 1e9
    assert detail.slower_than == 0.01
    client.config_set("slowlog-log-slower-than", -1)
    off = source.sample().slower_than
    assert isinstance(off, Absent)
    assert off.fix.endswith("CONFIG SET slowlog-log-slower-than 10000")
    source.close()


@pytest.mark.parametrize(
    ("refused", "absent"),
    [("info", "commands errors"), ("slowlog", "slow"), ("config", "slower_than")],
)
def test_what_is_denied_takes_nothing_else_away(
    redis_server: RedisProcess, clock: Clock, refused: str, absent: str
) -> None:
    client = redis_server.client
    client.execute_command("ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", f"-{refused}")
    url = redis_server.url.replace("unix://", "unix://bob:pw@")
    source = RedisDetailSource(RedisTarget.parse(url), clock=clock)
    detail = _two(source, clock, lambda: None)
    for name in ("commands", "errors", "slow", "slower_than"):
        value = {
            "commands": detail.commands,
            "errors": detail.errors,
            "slow": detail.slow,
            "slower_than": detail.slower_than,
        }[name]
        assert isinstance(value, Absent) == (name in absent.split()), name
        if isinstance(value, Absent):
            assert value.state is State.DENIED
            command = value.fix.partition("ACL SETUSER bob ")[2].strip("'")
            assert command.startswith(f"+{refused}")
    # The fix is what helps, and it is noticed.
    client.execute_command("ACL", "SETUSER", "bob", command)
    clock.now += ASK_AGAIN
    source.sample()
    clock.now += 2
    detail = source.sample()
    parts = (detail.commands, detail.errors, detail.slow, detail.slower_than)
    assert not any(isinstance(part, Absent) for part in parts)
    source.close()


def test_refusals_do_not_fill_the_log_of_the_acl(redis_server: RedisProcess, clock: Clock) -> None:
    client = redis_server.client
    client.execute_command("ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-slowlog")
    url = redis_server.url.replace("unix://", "unix://bob:pw@")
    source = RedisDetailSource(RedisTarget.parse(url), clock=clock)
    for _ in range(4):
        source.sample()
        clock.now += 2
    rejected = client.info("commandstats")
    calls = [one["rejected_calls"] for name, one in rejected.items() if "slowlog" in name]
    assert sum(calls) == 1
    source.close()


def test_a_server_that_is_away_is_said_once_for_all(
    source: RedisDetailSource, redis_server: RedisProcess
) -> None:
    source.sample()
    redis_server.kill()
    with pytest.raises(SourceError) as caught:
        source.sample()
    assert caught.value.absent.state is State.UNAVAILABLE
    source.close()


INFO_7 = b"""# Server\r
run_id:aa\r
# Commandstats\r
cmdstat_config|get:calls=%d,usec=40,usec_per_call=4.00,rejected_calls=0,failed_calls=0\r
cmdstat_get:calls=%d,usec=2000,usec_per_call=2.00,rejected_calls=1,failed_calls=0\r
# Errorstats\r
errorstat_OOM:count=3\r
# Latencystats\r
%s"""
P99 = b"latency_percentiles_usec_get:p50=1.003,p99=2.007,p99.9=3.007\r\n"


def _window(*payloads: bytes) -> StatisticsWindow:
    window = StatisticsWindow()
    for number, payload in enumerate(payloads):
        window.add(parse_statistics(payload, 10.0 + number))
    return window


def test_percentiles_of_redis_7() -> None:
    window = _window(INFO_7 % (5, 900, P99), INFO_7 % (6, 1000, P99))
    commands = window.commands(NO_P99)
    assert not isinstance(commands, Absent)
    found = {one.name: one for one in commands}
    assert found["GET"].p99 == pytest.approx(2.007e-6)
    assert found["GET"].calls_rate == 100
    missing = found["CONFIG GET"].p99
    assert isinstance(missing, Absent)
    assert missing.state is State.NOT_COLLECTED


@pytest.mark.parametrize(
    ("lines", "fix"),
    [
        (b"", "CONFIG SET latency-tracking yes"),
        (
            b"latency_percentiles_usec_get:p50=1.003\r\n",
            'CONFIG SET latency-tracking-info-percentiles "50 99 99.9"',
        ),
    ],
)
def test_says_how_to_get_percentiles(lines: bytes, fix: str, clock: Clock) -> None:
    source = RedisDetailSource(RedisTarget.parse("redis://x"), clock=clock)
    for calls in (900, 1000):
        commands, _ = source._statistics(INFO_7 % (5, calls, lines), clock())
        clock.now += 1
    assert not isinstance(commands, Absent)
    missing = commands[0].p99
    assert isinstance(missing, Absent)
    assert missing.fix.endswith(fix)


def test_a_server_before_6_2_counts_no_failures() -> None:
    old = b"run_id:aa\r\n# Commandstats\r\ncmdstat_get:calls=%d,usec=%d,usec_per_call=2.00\r\n"
    window = _window(old % (10, 20), old % (20, 40))
    commands = window.commands(NO_P99)
    assert not isinstance(commands, Absent)
    assert isinstance(commands[0].failed_rate, Absent)
    assert isinstance(commands[0].rejected_rate, Absent)
    assert isinstance(window.errors(), Absent)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["GET", "a:1"], "GET a:1"),
        (["mget", "a", "b"], "MGET a"),
        (["AUTH", "user", "word"], "AUTH"),
        (["HELLO", "3", "AUTH", "user", "word"], "HELLO"),
        (["CONFIG", "SET", "requirepass", "word"], "CONFIG"),
        (["ACL", "SETUSER", "u", ">word"], "ACL"),
        (["EVALSHA", "abc", "1", "key"], "EVALSHA"),
        (["MIGRATE", "host", "6379", "key", "0", "9", "AUTH", "word"], "MIGRATE"),
        (["FT.SEARCH", "index", "word"], "FT.SEARCH"),
        (["OBJECT", "encoding", "key"], "OBJECT ENCODING key"),
        (["CLIENT", "KILL", "addr"], "CLIENT KILL"),
        (["ZUNION", "2", "a", "b"], "ZUNION a"),
        (["BLMPOP", "1", "2", "a", "b", "LEFT"], "BLMPOP a"),
        (["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"], "XREADGROUP s"),
        (["XREAD", "COUNT", "1", "... (30 more arguments)"], "XREAD"),
        (["DEL", "... (2 more arguments)"], "DEL"),
        (["KEYS", "user:*"], "KEYS user:*"),
        (["GET"], "GET"),
        ([], "?"),
    ],
)
def test_only_the_command_and_its_first_key(arguments: list[str], shown: str) -> None:
    assert command_with_key([word.encode() for word in arguments]) == shown


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6))
def test_nothing_is_told_of_an_unknown_command(arguments: list[bytes]) -> None:
    assert command_with_key([b"MY.COMMAND", *arguments]) == "MY.COMMAND"


@given(st.recursive(st.none() | st.integers() | st.binary(), st.lists, max_leaves=20))
def test_any_reply_is_taken_for_a_slow_log(reply: object) -> None:
    for entry in slow_commands(reply):
        assert entry.command


@given(st.binary())
def test_any_text_is_taken_for_statistics(payload: bytes) -> None:
    window = _window(payload, payload)
    assert window.commands(NO_P99) in ((), FIRST_SAMPLE)


@given(
    st.lists(
        st.from_regex(
            rb"(cmdstat_|errorstat_|latency_percentiles_usec_)[a-z|:=,.]{0,9}[:=,]"
            rb"(calls|count|p99)=[0-9.]{0,4}",
            fullmatch=True,
        )
    )
)
def test_lines_that_are_nearly_right_do_no_harm(lines: list[bytes]) -> None:
    payload = b"\r\n".join(lines)
    commands = _window(payload, payload).commands(NO_P99)
    assert commands == () or isinstance(commands, Absent)
