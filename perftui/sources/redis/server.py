"""The state of one Redis or Valkey server, from INFO and the round trip of a PING."""

from __future__ import annotations

import time
from collections.abc import Callable

from perftui.snapshot import FIRST_SAMPLE, Absent, Maybe, RedisServer, State
from perftui.sources.hit_windows import HitWindows
from perftui.sources.redis.connection import Link
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError

SECTIONS = ("server", "clients", "memory", "stats", "replication", "keyspace")
COUNTERS = (
    "total_commands_processed",
    "keyspace_hits",
    "keyspace_misses",
    "evicted_keys",
    "expired_keys",
    "rejected_connections",
)


class RedisServerSource:
    """Reads INFO once per interval; see https://redis.io/docs/latest/commands/info/ for fields.

    `keys` adds up all databases, as hits, memory and commands are of the whole server too. What
    the monitor itself looks up is taken out of hits and misses. Latency is one PING in seconds.
    """

    name = "redis"

    def __init__(
        self,
        target: RedisTarget,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = interval
        self.deadline = max(interval, 2.0)
        self._target = target
        self._clock = clock
        self._link = Link(target)
        self._own = own_lookups(target)
        self._windows = HitWindows()
        self._warm = False
        self._several_sections = False
        self._run_id = ""
        self._previous: tuple[float, dict[str, int]] | None = None
        self._previous_adjusted: dict[str, int] = {}

    def sample(self) -> RedisServer:
        """Return the server as it is now.

        Raises SourceError when it cannot be reached or does not answer what is needed.
        """
        with self._link.use() as client:
            # The first PING opens the connection, which is no part of the latency.
            if not self._warm:
                client.execute_command("PING")
            self._warm = False
            before = time.perf_counter()
            client.execute_command("PING")
            latency = time.perf_counter() - before
            own = self._own.counts
            sections = SECTIONS if self._several_sections else ()
            payload: bytes = client.execute_command("INFO", *sections)
            now = self._clock()
        self._warm = True
        info = parse_info(payload)
        # Several sections in one INFO need Redis 7; older servers call it a syntax error.
        self._several_sections = _major(info.get("redis_version", "")) >= 7
        return self._reading(info, latency, now, own)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _reading(
        self, info: dict[str, str], latency: float, now: float, own: tuple[int, int]
    ) -> RedisServer:
        counters = {name: int(info[name]) for name in COUNTERS if info.get(name, "").isdigit()}
        rates = self._rates(info.get("run_id", ""), now, counters, own)
        flavour, version = _flavour(info)
        limit = self._number(info, "maxmemory") if "maxmemory" in info else 0
        return RedisServer(
            address=self._target.address,
            flavour=flavour,
            version=version,
            role=info.get("role", "unknown"),
            uptime=float(self._number(info, "uptime_in_seconds")),
            latency=latency,
            clients=self._number(info, "connected_clients"),
            blocked_clients=self._number(info, "blocked_clients"),
            keys=_keys(info),
            memory_used=self._number(info, "used_memory"),
            memory_limit=limit or None,
            memory_policy=info.get("maxmemory_policy", ""),
            hit_ratio=self._windows.ratio(),
            commands_rate=rates["total_commands_processed"],
            hits_rate=rates["keyspace_hits"],
            misses_rate=rates["keyspace_misses"],
            evictions_rate=rates["evicted_keys"],
            expirations_rate=rates["expired_keys"],
            rejections_rate=rates["rejected_connections"],
        )

    def _number(self, info: dict[str, str], field: str) -> int:
        text = info.get(field, "")
        if not text.isdigit():
            raise SourceError(
                State.UNAVAILABLE,
                f"INFO of Redis at {self._target.address} lacks {field}",
                f"{self._target.command} INFO",
            )
        return int(text)

    def _rates(
        self, run_id: str, now: float, counters: dict[str, int], own: tuple[int, int]
    ) -> dict[str, Maybe[float]]:
        """Advance windows and counters; Absent for what cannot be told."""
        previous = self._previous
        if previous is not None and (
            run_id != self._run_id
            # CONFIG RESETSTAT sets the counters of the same process back to zero.
            or any(counters.get(name, 0) < value for name, value in previous[1].items())
        ):
            previous = None
            self._windows.restart()
        self._run_id = run_id
        # Counted after the restart check, which must see what the server itself counted.
        adjusted = dict(counters)
        for name, mine in zip(("keyspace_hits", "keyspace_misses"), own, strict=True):
            if name in adjusted:
                adjusted[name] -= mine
        if "keyspace_hits" in adjusted and "keyspace_misses" in adjusted:
            self._windows.add(now, adjusted["keyspace_hits"], adjusted["keyspace_misses"])
        last = self._previous_adjusted if previous is not None else None
        elapsed = now - previous[0] if previous is not None else 0.0
        self._previous = (now, counters)
        self._previous_adjusted = adjusted
        return {name: _rate(name, adjusted, last, elapsed) for name in COUNTERS}


def _rate(
    name: str, counters: dict[str, int], previous: dict[str, int] | None, elapsed: float
) -> Maybe[float]:
    if name not in counters:
        return Absent(State.UNAVAILABLE, f"INFO of this server has no {name}")
    if previous is None or name not in previous or elapsed <= 0:
        return FIRST_SAMPLE
    return max(0, counters[name] - previous[name]) / elapsed


def parse_info(payload: bytes) -> dict[str, str]:
    """Return field to value of an INFO reply, headings left out."""
    info: dict[str, str] = {}
    for line in payload.decode("utf-8", "backslashreplace").split("\r\n"):
        field, colon, value = line.partition(":")
        if colon and not field.startswith("#"):
            info[field] = value
    return info


def _flavour(info: dict[str, str]) -> tuple[str, str]:
    # Valkey and Dragonfly report a redis_version for old clients beside their own.
    for flavour in ("valkey", "dragonfly"):
        version = info.get(f"{flavour}_version", "")
        if version:
            return flavour.capitalize(), version.removeprefix("df-v")
    name = info.get("server_name", "redis")
    return name.capitalize(), info.get("redis_version", "")


def _major(version: str) -> int:
    head = version.partition(".")[0]
    return int(head) if head.isdigit() else 0


def _keys(info: dict[str, str]) -> int:
    total = 0
    for field, value in info.items():
        # db0:keys=17,expires=2,avg_ttl=0
        if field.startswith("db") and field[2:].isdigit() and value.startswith("keys="):
            count = value[5:].partition(",")[0]
            total += int(count) if count.isdigit() else 0
    return total
