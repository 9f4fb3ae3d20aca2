"""What a Redis server is busy with: commands, slow log and errors, read while somebody looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perftui.snapshot import Absent, CommandUse, ErrorRate, Maybe, RedisDetail, SlowCommand, State
from perftui.sources.redis.command_statistics import StatisticsWindow, parse_statistics
from perftui.sources.redis.connection import Link
from perftui.sources.redis.failure import failure
from perftui.sources.redis.slow_log import ENTRIES, slow_commands

if TYPE_CHECKING:
    import redis

    from perftui.sources.redis.target import RedisTarget

SLOWER_THAN = "slowlog-log-slower-than"
PERCENTILES = "latency-tracking-info-percentiles"
ASK_AGAIN = 10.0
"""Seconds until a refused question is asked again: each refusal is an entry in the ACL's log."""


class RedisDetailSource:
    """Reads INFO, SLOWLOG GET and one setting, together about 0.1 ms of the server each time.

    Rates are means of the last 10 seconds. A question that the server refuses takes its own part
    away and no other. What the monitor itself asks is part of the statistics, as it is true.
    """

    name = "redis_detail"

    def __init__(
        self,
        target: RedisTarget,
        interval: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = interval
        self.deadline = max(interval, 2.0)
        self._target = target
        self._clock = clock
        self._link = Link(target)
        self._window = StatisticsWindow()
        self._refused: dict[str, tuple[float, Absent]] = {}

    def sample(self) -> RedisDetail:
        """Return what the server did since the readings before.

        Raises SourceError when it cannot be reached.
        """
        with self._link.use() as client:
            info = self._ask(client, "INFO", "all")
            now = self._clock()
            log = self._ask(client, "SLOWLOG", "GET", ENTRIES)
            limit = self._ask(client, "CONFIG", "GET", SLOWER_THAN)
        commands, errors = self._statistics(info, now)
        slow: Maybe[tuple[SlowCommand, ...]] = log if isinstance(log, Absent) else ()
        if not isinstance(log, Absent):
            slow = slow_commands(log)
        return RedisDetail(commands, slow, self._slower_than(limit), errors)

    def rested(self) -> None:
        """Begin anew after a rest: rates are of the last seconds, not of all that time."""
        self._window.restart()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _ask(self, client: redis.Redis, *command: str | int) -> Any:
        """Return the reply, or why the server does not give it to this user."""
        import redis

        question = " ".join(map(str, command))
        refused = self._refused.get(question)
        if refused is not None and self._clock() < refused[0]:
            return refused[1]
        try:
            reply = client.execute_command(*command)
        except redis.ResponseError as error:
            absent = failure(error, self._target).absent
            self._refused[question] = (self._clock() + ASK_AGAIN, absent)
            return absent
        self._refused.pop(question, None)
        return reply

    def _statistics(
        self, info: bytes | Absent, now: float
    ) -> tuple[Maybe[tuple[CommandUse, ...]], Maybe[tuple[ErrorRate, ...]]]:
        if isinstance(info, Absent):
            self._window.restart()
            return info, info
        reading = parse_statistics(info, now)
        self._window.add(reading)
        command = self._target.command
        if not reading.commands:
            missing = Absent(
                State.UNAVAILABLE,
                f"INFO of Redis at {self._target.address} has no commandstats",
                f"{command} INFO commandstats",
            )
            return missing, self._window.errors()
        if not reading.has_latency:
            no_p99 = Absent(
                State.UNAVAILABLE, "this server keeps no latency per command; Redis 7.0 does"
            )
        elif not reading.has_percentile:
            no_p99 = Absent(
                State.NOT_COLLECTED,
                "the server does not track the latency of commands",
                f"{command} CONFIG SET latency-tracking yes",
            )
        else:
            no_p99 = Absent(
                State.NOT_COLLECTED,
                "the 99th percentile is none of those that the server tells",
                f'{command} CONFIG SET {PERCENTILES} "50 99 99.9"',
            )
        return self._window.commands(no_p99), self._window.errors()

    def _slower_than(self, reply: Any) -> Maybe[float]:
        """Return from how many seconds on a command is logged."""
        if isinstance(reply, Absent):
            return reply
        text = reply[1] if isinstance(reply, list) and len(reply) == 2 else b""
        try:
            micros = int(text)
        except ValueError:
            return Absent(State.UNAVAILABLE, f"this server has no setting {SLOWER_THAN}")
        if micros < 0:
            return Absent(
                State.NOT_COLLECTED,
                "the slow log is switched off",
                f"{self._target.command} CONFIG SET {SLOWER_THAN} 10000",
            )
        return micros / 1e6
