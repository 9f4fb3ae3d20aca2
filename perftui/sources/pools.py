"""Pools of servers as their heartbeats and operators describe them in Redis."""

from __future__ import annotations

import dataclasses
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from perftui.pool.keys import POOLS_KEY, pool_key
from perftui.pool.server_view import Limits, PoolParts, ServerView, pool_views
from perftui.snapshot import Absent, Maybe, Pool, PoolAdvice, PoolEvent, PoolThresholds, State
from perftui.snapshot.part import FIRST_SAMPLE
from perftui.sources.pool_memory import MOST_EVENTS, PoolMemory
from perftui.sources.pool_servers import pool_servers
from perftui.sources.redis.connection import Link
from perftui.sources.redis.failure import failure
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget

if TYPE_CHECKING:
    import redis

HASHES = ("meta", "load", "status", "admin", "inflight", "picks", "limits")
PARTS = (*HASHES, "seen", "ok", "panics", "advice", "events")
"""The keys of a pool that are read, in the order of the replies."""
TYPES = {
    "seen": "sorted set",
    "ok": "sorted set",
    "panics": "sorted set",
    "advice": "string",
    "events": "stream",
}
JUDGING = ("meta", "load", "status", "admin", "inflight", "seen", "ok")
"""Those without which nobody can say who may be picked."""
MOST_SERVERS = 10_000
AT_ONCE = 20
"""Pools whose replies are asked for in one round trip."""
PANIC_BELOW = 0.5
"""Share of the live servers below which balancers use all, unless they are set otherwise."""
PANIC_HOLDS = 30.0
"""Seconds for which a balancer's word holds, which repeats it while it is in panic."""

NO_ADVICE = Absent(
    State.NOT_COLLECTED,
    "nobody advises on the size of this pool",
    "run an adviser with a ScalingConfig for it",
)


class _Advice(msgspec.Struct, frozen=True):
    current: int
    want: int
    at: float
    reason: str = ""
    metric: str = ""
    value: float | None = None
    threshold: float | None = None
    held_by: str | None = ""
    policy: str = ""
    min_instances: int | None = None
    max_instances: int | None = None


_ADVICE = msgspec.json.Decoder(_Advice)


class PoolsSource:
    """Reads all pools, twenty in each round trip; never writes.

    Of large pools, what servers said at their registration and how often they were picked is kept
    for five seconds, see PoolMemory.

    A server is judged as its pool judged it. CPU percent, memory percent and requests per second
    are for servers that were not judged: overloaded is strictly above. Ages are by the clock of
    Redis, which also wrote the heartbeats. A key that cannot be read is named by what it should
    have told, and its pool alone is without it.
    """

    name = "pools"

    def __init__(
        self,
        target: RedisTarget,
        interval: float = 1.0,
        cpu_threshold: float = 80.0,
        memory_threshold: float = 90.0,
        requests_threshold: float = 1000.0,
    ) -> None:
        self.interval = interval
        self.deadline = max(interval, 2.0)
        self._limits = Limits(cpu_threshold, memory_threshold, requests_threshold)
        self._target = target
        self._link = Link(target)
        self._nodes: dict[tuple[str, int], Link] = {}
        self._own = own_lookups(target)
        self._memories: dict[bytes, PoolMemory] = {}

    def sample(self) -> tuple[Pool, ...]:
        """Return all pools by name; empty when no server has registered.

        Raises SourceError when Redis cannot be read, or when it refuses all keys of all pools.
        """
        with self._link.use() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("TIME")
            pipeline.execute_command("SMEMBERS", POOLS_KEY)
            time, named = _replies(client, pipeline)
            for reply in (time, named):
                if isinstance(reply, Exception) and not _moved(reply):
                    raise reply
        if _moved(named):
            with self._node(named).use() as client:
                named = client.execute_command("SMEMBERS", POOLS_KEY)
        names = sorted(named)
        self._own.add(1 if names else 0, 0 if names else 1)
        now = _seconds(time)
        self._memories = {name: self._memories.get(name) or PoolMemory() for name in names}
        found: dict[bytes, dict[str, Any]] = {}
        self._read_all(names, found)
        strangers = [name for name in names if self._memories[name].misses(found[name])]
        for name in strangers:
            self._memories[name].forget_kept()
        self._read_all(strangers, found)
        replies = [reply for each in found.values() for reply in each.values()]
        if replies and all(isinstance(reply, Exception) for reply in replies):
            raise failure(replies[0], self._target)
        return tuple(self._pool(name, found[name], now) for name in names)

    def rested(self) -> None:
        """Count picks anew, since nobody knows when they came."""
        for memory in self._memories.values():
            memory.forget_picks()

    def close(self) -> None:
        """Close the connections."""
        self._link.close()
        for link in list(self._nodes.values()):
            link.close()

    def _node(self, moved: Any) -> Link:
        """Return the link to the node of a cluster that a MOVED reply names."""
        place = (moved.host or self._target.host, moved.port)
        if place not in self._nodes:
            target = dataclasses.replace(self._target, host=place[0], port=place[1])
            self._nodes[place] = Link(target)
        return self._nodes[place]

    def _read_all(self, names: list[bytes], found: dict[bytes, dict[str, Any]]) -> None:
        self._read(self._link, names, found)
        elsewhere: dict[Link, list[bytes]] = {}
        for name in names:
            first = next(iter(found[name].values()))
            if _moved(first):
                elsewhere.setdefault(self._node(first), []).append(name)
        for link, moved in elsewhere.items():
            self._read(link, moved, found)

    def _read(self, link: Link, names: list[bytes], found: dict[bytes, dict[str, Any]]) -> None:
        for first in range(0, len(names), AT_ONCE):
            some = names[first : first + AT_ONCE]
            with link.use() as client:
                pipeline = client.pipeline(transaction=False)
                asked = [self._ask(pipeline, name) for name in some]
                replies = _replies(client, pipeline)
            answers = iter(replies)
            for name, parts in zip(some, asked, strict=True):
                found[name] = {part: next(answers) for part in parts}
            read = [reply for reply in replies if not isinstance(reply, Exception)]
            hits = sum(1 for reply in read if reply)
            self._own.add(hits, len(read) - hits)

    def _ask(self, pipeline: Any, name: bytes) -> tuple[str, ...]:
        """Ask for the parts of a pool that are not kept, and return which."""
        memory = self._memories[name]
        parts = memory.wanted(PARTS, monotonic())
        pool = _text(name)
        for part in parts:
            key = _key(pool, part)
            if part == "seen":
                pipeline.execute_command("ZREVRANGE", key, 0, MOST_SERVERS - 1, "WITHSCORES")
            elif part == "ok":
                pipeline.execute_command("ZRANGE", key, 0, MOST_SERVERS - 1)
            elif part == "panics":
                pipeline.execute_command("ZREVRANGE", key, 0, 0, "WITHSCORES")
            elif part == "advice":
                pipeline.execute_command("GET", key)
            elif part == "events":
                # One more than are kept: the last is known, and shows that none is missed.
                newest, most = memory.newest, MOST_EVENTS + 1
                pipeline.execute_command("XREVRANGE", key, "+", newest, "COUNT", most)
            else:
                pipeline.execute_command("HGETALL", key)
        return parts

    def _pool(self, raw: bytes, read: dict[str, Any], now: float) -> Pool:
        name = _text(raw)
        memory = self._memories[raw]
        said = memory.completed(read, monotonic())
        broken = {
            part: self._broken(name, part, reply)
            for part, reply in said.items()
            if isinstance(reply, Exception)
        }
        hashes = {part: _mapping(said[part]) for part in HASHES}
        parts = PoolParts(
            now=now,
            meta=hashes["meta"],
            load=hashes["load"],
            status=hashes["status"],
            admin=hashes["admin"],
            inflight=hashes["inflight"],
            picks=hashes["picks"],
            done={},
            fails={},
            seconds={},
            seen={server: float(score) for server, score in _mapping(said["seen"]).items()},
            eligible=frozenset(() if "ok" in broken else said["ok"]),
        )
        thresholds, strict = self._thresholds(hashes["limits"])
        limits = Limits(thresholds.cpu, thresholds.memory, thresholds.requests)
        views = list(pool_views(parts, memory.decoded, limits))
        trouble = next((broken[part] for part in JUDGING if part in broken), None)
        rate: Maybe[float] = FIRST_SAMPLE
        if "picks" in broken:
            memory.forget_picks()
            servers = pool_servers(views, parts.picks, None, 0.0)
            rate = broken["picks"]
        else:
            grown = memory.grown(now, views) if "picks" in read else memory.last_grown
            servers = pool_servers(views, parts.picks, grown.picks, grown.seconds)
            if grown.picks is not None:
                rate = sum(grown.picks.values()) / grown.seconds
        if "events" in broken:
            # Nobody else could say why the list is empty.
            events: tuple[PoolEvent, ...] = (
                PoolEvent(now, "unreadable", "", "", broken["events"].reason),
            )
        else:
            events = memory.events(said["events"])
        return Pool(
            name,
            servers,
            eligible=trouble or sum(view.eligible for view in views),
            picks_per_second=rate,
            advice=broken.get("advice") or _advice(said["advice"], name, now),
            thresholds=broken.get("limits") or thresholds,
            panic=broken.get("panics")
            or trouble
            or _told(_mapping(said["panics"]), now)
            or (not strict and _panic(views)),
            events=events,
        )

    def _thresholds(self, limits: dict[bytes, bytes]) -> tuple[PoolThresholds, bool]:
        """Return what the pool has stored, the monitor's own where it has not, and `strict`."""
        own = self._limits
        return PoolThresholds(
            _number(limits.get(b"cpu_threshold"), own.cpu),
            _number(limits.get(b"memory_threshold"), own.memory),
            _number(limits.get(b"request_threshold"), own.requests),
        ), _number(limits.get(b"strict"), 0.0) != 0.0

    def _broken(self, pool: str, part: str, error: Exception) -> Absent:
        key = f"perftui:pool:{{{pool}}}:{part}"
        text = str(error)
        if "WRONGTYPE" in text or "wrong kind of value" in text:
            return Absent(
                State.UNAVAILABLE,
                f"the key {key} is no {TYPES.get(part, 'hash')}",
                f"{self._target.command} DEL '{key}'",
            )
        found = failure(error, self._target).absent
        if found.state is State.DENIED:
            return Absent(State.DENIED, f"{found.reason}: {key}", found.fix)
        return Absent(found.state, f"{key}: {found.reason}", found.fix)


def _replies(client: redis.Redis, pipeline: Any) -> list[Any]:
    """Return all replies; those that are refusals are exceptions among them."""
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def _moved(reply: Any) -> bool:
    from redis.exceptions import MovedError

    return isinstance(reply, MovedError)


def _told(panics: dict[bytes, bytes], now: float) -> bool:
    """Return whether a balancer is in panic, which may know of failures that servers do not."""
    return any(now - float(at) <= PANIC_HOLDS for at in panics.values())


def _panic(views: list[ServerView]) -> bool:
    """Return whether less than half of the live servers are well, and balancers use all of them."""
    live = [
        view
        for view in views
        if view.state == "ready" and view.weight and not (view.load and view.load.leaving)
    ]
    well = sum(not view.overloaded for view in live)
    return bool(live) and well < PANIC_BELOW * len(live)


def _advice(told: bytes | None, pool: str, now: float) -> Maybe[PoolAdvice]:
    if told is None:
        return NO_ADVICE
    try:
        said = _ADVICE.decode(told)
    except msgspec.DecodeError:
        return Absent(
            State.UNAVAILABLE,
            f"the key {pool_key(pool, 'advice')} cannot be read",
            "run the same version of perftui in the adviser and here",
        )
    return PoolAdvice(
        said.current,
        said.want,
        said.reason,
        said.metric,
        said.value,
        said.threshold,
        said.held_by or "",
        said.policy,
        said.min_instances,
        said.max_instances,
        max(0.0, now - said.at),
    )


def _mapping(flat: Any) -> dict[bytes, bytes]:
    """Return the pairs of a RESP2 hash reply: field, value and so on; none of a refusal."""
    if isinstance(flat, Exception):
        return {}
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _number(text: bytes | None, otherwise: float) -> float:
    try:
        return otherwise if text is None else float(text)
    except ValueError:
        return otherwise


def _seconds(reply: Any) -> float:
    return int(reply[0]) + int(reply[1]) / 1e6


def _key(pool: str, part: str) -> bytes:
    return pool_key(pool, part).encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
