"""A pool of servers in Redis: who is in it, who may be picked, and what operators decided."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from perftui.pool.advice_scripts import ADVISE, HOLD, LET_GO
from perftui.pool.eligibility import DEFAULT_RULES, EligibilityRules
from perftui.pool.errors import PoolRefusedError, UnknownServerError
from perftui.pool.event_scripts import PANIC, RECORD
from perftui.pool.keys import POOLS_KEY, ServerLoad, ServerMeta, pool_key
from perftui.pool.link import PoolLink
from perftui.pool.names import (
    pool_name,
    reading,
    server_address,
    server_id,
    short_reason,
    valid_state,
    valid_weight,
)
from perftui.pool.pool_reading import READ_SECONDS, all_servers, one_server, stored_rules
from perftui.pool.scripts import (
    BEAT,
    COUNT,
    DECIDE,
    DEREGISTER,
    NOW,
    PICK,
    RELEASE,
)
from perftui.pool.server_view import server_views

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from perftui.pool.scripts import Script

BEATS_PER_NAME = 60
"""Heartbeats after which the name of the pool is written anew, should somebody have deleted it."""
ADVICE_SECONDS = 3600
"""Seconds after which advice that nobody renewed is gone."""


class Counts(NamedTuple):
    """What a balancer saw of one server since it last told: picks, change of the number of
    requests at work, finished requests, those of them that failed, seconds of the finished."""

    picks: int = 0
    in_flight: int = 0
    done: int = 0
    fails: int = 0
    seconds: float = 0.0


class PoolRegistry:
    """One pool, for the servers in it, the balancers that pick from it, and those who watch it.

    `redis`: a URL (redis://, rediss://, unix://, redis+sentinel://, redis+cluster://), or a client
    of redis-py, asyncio or not, of one server or of a cluster; a client lends its settings, not its
    connections, timeouts or retries. `pool`: 1 to 100 bytes of printable text without braces.
    `rules`: when a server is overloaded and what follows, for the heartbeats sent through this
    object; `set_limits` sets them for all servers of the pool. `timeout`: seconds for one answer.

    Every method costs `timeout` and a little at most, and raises PoolUnavailableError when Redis
    does not answer; from then on it raises at once, until Redis answers a question that is asked
    beside. It raises PoolRefusedError when Redis refuses, and ValueError that names it for a value
    that is not valid. It may be used in several event loops, by threads, and after a fork, where
    each has connections of its own. Times are those of Redis, ages seconds, percent 0 to 100; CPU
    is percent of what the server can use: one core for a process of Python, or what it says.

    A Redis user with few rights needs the keys ~perftui:pool* and the commands EVALSHA, EVAL, PING,
    SADD, GET, SET, TIME, HGET, HGETALL, HSET, HDEL, HMGET, HEXISTS, HINCRBY, HINCRBYFLOAT, INCR,
    ZADD, ZREM, ZCARD, ZSCORE, ZRANGE, ZRANGEBYSCORE, XADD and XREVRANGE; CLUSTER and COMMAND in a
    cluster, SELECT for a database other than 0.
    """

    def __init__(
        self,
        redis: str | redis.asyncio.Redis | redis.asyncio.RedisCluster | redis.Redis,
        pool: str = "default",
        *,
        rules: EligibilityRules = DEFAULT_RULES,
        timeout: float = 0.25,
    ) -> None:
        self.pool = pool_name(pool)
        self.rules = rules
        self._link = PoolLink(redis, timeout)
        self._metas: dict[str, ServerMeta] = {}
        self._beats = 0
        self._named = False

    async def __aenter__(self) -> PoolRegistry:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the next question opens them again."""
        await self._link.aclose()

    async def close_here(self) -> None:
        """Close the connections of this event loop, and leave those of others alone."""
        await self._link.aclose(others=False)

    @property
    def available(self) -> bool:
        """Whether Redis is asked at all: it answered, or was not asked yet."""
        return self._link.breaker.closed

    async def register(self, server: str, address: str, weight: int = 1) -> str:
        """Take a server into the pool and return what an operator decided for it.

        It may be picked from now on, for 3 s without a heartbeat. What an operator decided for this
        id before holds on. Registering again is harmless: address and weight are the new ones.
        """
        name = server_id(server)
        started = await self._now()
        meta = ServerMeta(server_address(address), valid_weight(weight), started)
        state = await self._beat(name, meta, None, None)
        self._metas[name] = meta
        return state

    async def heartbeat(
        self,
        server: str,
        cpu_usage: float | None,
        memory_usage: float | None,
        requests_per_second: float | None,
        in_flight: int | None = None,
        *,
        p95: float | None = None,
        error_percent: float | None = None,
        leaving: bool = False,
    ) -> str:
        """Say that a server lives and how it fares; return what an operator decided for it.

        Call it each second: after 3 s without, the server is not picked any more. What is not
        measured is None and excludes nobody. `in_flight` replaces what balancers counted, who may
        have died before they counted down. `leaving` takes the server's picks away while it ends
        its requests. A pool that Redis has lost begins anew with this, if the server was registered
        through this object; otherwise raises UnknownServerError.
        """
        name = server_id(server)
        load = ServerLoad(
            reading("cpu_usage", cpu_usage),
            reading("memory_usage", memory_usage),
            reading("requests_per_second", requests_per_second),
            None if in_flight is None else int(reading("in_flight", in_flight) or 0),
            reading("p95", p95),
            reading("error_percent", error_percent, 100.0),
            leaving,
        )
        return await self._beat(name, self._metas.get(name), load, load.in_flight)

    async def deregister(self, server: str, reason: str = "", by: str = "") -> bool:
        """Take a server out of the pool; return whether it was in it.

        What an operator decided for it is kept for a week, should it come back.
        """
        name = server_id(server)
        self._metas.pop(name, None)
        gone = await self._run(DEREGISTER, name, short_reason(reason), _who(by, name))
        return bool(gone)

    async def set_state(
        self, server: str | Iterable[str], state: str, reason: str, by: str = ""
    ) -> dict[str, str]:
        """Decide for one server or many: `ready`, `drain` or `maint`; return what held before.

        Holds at once, for all balancers with exact picks, and until it is decided otherwise, also
        over restarts of the server. `by` is by default the user and the host of this process; both
        and the reason are in the events. Raises UnknownServerError, and then nothing is changed.
        """
        return await self._decide(server, valid_state(state), "", reason, by)

    async def set_weight(
        self, server: str | Iterable[str], weight: int | None, reason: str = "", by: str = ""
    ) -> dict[str, str]:
        """Set the weight of one server or many, None for their own; return the states that hold.

        A server of weight 0 is not picked. Raises UnknownServerError, and then nothing is changed.
        """
        chosen = "own" if weight is None else str(valid_weight(weight))
        return await self._decide(server, "", chosen, reason, by)

    async def servers(self) -> list[dict[str, Any]]:
        """Return all servers that were heard of within an hour, by id.

        The keys: `id`, `address`, `state` (ready, drain, maint, stale after 3 s without a
        heartbeat, down after 30 s), `cpu_usage`, `memory_usage`, `requests_per_second` (as the
        server said), `overloaded`, `reason` (for its state or for being excluded, empty when it is
        picked), `picks`, `last_seen` (age of the last heartbeat). Further: `weight` (that holds),
        `own_weight`, `since` (age of the state, or of being eligible or not), `started` (age of the
        registration), `in_flight`, `done`, `fails`, `mean_seconds` (as balancers counted them),
        `p95`, `error_percent` (as the server said), `eligible`, `kept` (overloaded, but picked
        since enough are out), `leaving`, `admin` (what an operator decided), `by`,
        `smoothed_cpu`, `smoothed_memory`, `smoothed_requests` (what is compared with the
        thresholds). What is not known is None.
        """
        return server_views(await all_servers(self._link, self._key))

    async def server(self, server: str) -> dict[str, Any] | None:
        """Return one server as `servers` does, None for one that is not known."""
        found = server_views(await one_server(self._link, self._key, server_id(server)))
        return found[0] if found else None

    async def limits(self) -> EligibilityRules:
        """Return the rules that hold for the pool: those of `set_limits`, else one's own."""
        return await stored_rules(self._link, self._key, self.rules)

    async def pick(self, exclude: Iterable[str] = ()) -> str | None:
        """Return the eligible server whose turn it is among all balancers, None when there is none.

        Counts the pick and the request as at work until `release`. Servers in `exclude` are passed
        over: those that this request failed on before. One that was silent for 3 s is taken out of
        the eligible, and the next one is asked; the cost does not depend on how many there are.
        """
        picked: bytes | None = await self._run(PICK, *map(server_id, exclude))
        return None if picked is None else _text(picked)

    async def release(self, server: str, seconds: float | None = None, ok: bool = True) -> None:
        """Count a picked request as finished, after so many seconds, well or not."""
        spent = reading("seconds", seconds)
        await self._run(RELEASE, server_id(server), "" if spent is None else spent, int(ok))

    async def counts(self, seen: Mapping[str, Counts]) -> None:
        """Add what a balancer counted by itself, of many servers at once; unknown ones are left."""
        words: list[str | int | float] = []
        for server, count in seen.items():
            words += [server_id(server), *count]
        if words:
            await self._run(COUNT, *words)

    async def events(self, count: int = 100, server: str | None = None) -> list[dict[str, Any]]:
        """Return the newest events, the newest first, of one server if it is named.

        The keys: `id` (of the stream), `time` (Unix time by Redis), `kind`, `server`, `by`,
        `reason`. Kinds: join, leave, leaving, stale, back, forget, overload, kept, recovered,
        ready, drain, maint, weight, and those that balancers and advisers record.
        """
        asked = count if server is None else max(count, 1000)
        entries = await self._link.ask(
            lambda client: client.xrevrange(self._key("events"), count=asked), READ_SECONDS
        )
        events = [_event(identity, fields) for identity, fields in entries]
        return [event for event in events if server is None or event["server"] == server][:count]

    async def record_event(self, kind: str, server: str, reason: str, by: str = "") -> None:
        """Add an event; `server` is empty for one of the whole pool."""
        name = server_id(server) if server else ""
        await self._run(RECORD, short_reason(kind), name, _who(by), short_reason(reason))

    async def tell_panic(self, balancer: str, panic: bool, reason: str, by: str = "") -> None:
        """Say whether a balancer is in panic; the first and the last of them make the event.

        A panic is to be told again within 30 s while it lasts.
        """
        await self._run(PANIC, balancer, int(panic), short_reason(reason), _who(by))

    async def decisions(self) -> int:
        """Return how often operators decided anything; a look that costs next to nothing."""
        told: bytes | None = await self._link.ask(lambda client: client.get(self._key("decisions")))
        return 0 if told is None else int(told)

    async def hold_advice(self, holder: str, seconds: float) -> bool:
        """Become the one adviser of the pool for so long, or stay it; False if another one is."""
        return bool(await self._run(HOLD, holder, max(1, round(seconds * 1000))))

    async def leave_advice(self, holder: str) -> None:
        """Let another adviser follow at once."""
        await self._run(LET_GO, holder)

    async def publish_advice(
        self, advice: Mapping[str, Any], holder: str = "", event: str = "", by: str = ""
    ) -> bool:
        """Let everybody know the newest advice on scaling; gone an hour later unless renewed.

        Values are those of JSON. With `event`, its words are recorded as one of kind `scale`. With
        a `holder` nothing is written, and False returned, when it is not the adviser any more.
        """
        told = msgspec.json.encode({**advice, "at": await self._now()})
        words = (holder, told, ADVICE_SECONDS, _who(by), short_reason(event))
        return bool(await self._run(ADVISE, *words))

    async def advice(self) -> dict[str, Any] | None:
        """Return the newest advice with its `age` in seconds, None when there is none."""
        told: bytes | None = await self._link.ask(lambda client: client.get(self._key("advice")))
        if told is None:
            return None
        try:
            advice = msgspec.json.decode(told, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise PoolRefusedError(f"the advice of pool {self.pool} cannot be read") from error
        at = advice.get("at")
        age = await self._now() - at if isinstance(at, int | float) else None
        return advice | {"age": None if age is None else max(0.0, age)}

    async def set_limits(self, rules: EligibilityRules) -> None:
        """Let the same rules hold for all servers of the pool, from their next heartbeat on."""
        limits = {name: repr(value) for name, value in rules.words().items()}
        await self._link.ask(lambda client: client.hset(self._key("limits"), mapping=limits))
        self.rules = rules

    async def _beat(
        self, server: str, meta: ServerMeta | None, load: ServerLoad | None, at_work: int | None
    ) -> str:
        words: list[str | bytes | int | float] = [
            server,
            "" if meta is None else msgspec.json.encode(meta),
            "" if meta is None else meta.weight,
        ]
        if load is None:
            words += ["", "", "", "", "", 0]
        else:
            loads = (load.cpu_usage, load.memory_usage, load.requests_per_second, at_work)
            words += [msgspec.json.encode(load), *("" if x is None else x for x in loads)]
            words.append(int(load.leaving))
        state, known = await self._run(BEAT, *words, *self.rules.words().values())
        if not state:
            raise UnknownServerError(self.pool, (server,))
        self._beats += 1
        if not known or not self._named or self._beats % BEATS_PER_NAME == 0:
            # It lies in another slot of a cluster, out of the reach of the script.
            await self._link.ask(lambda client: client.sadd(POOLS_KEY, self.pool.encode()))
            self._named = True
        return _text(state)

    async def _decide(
        self, server: str | Iterable[str], state: str, weight: str, reason: str, by: str
    ) -> dict[str, str]:
        servers = [server] if isinstance(server, str | bytes) else list(server)
        names = [server_id(each) for each in servers]
        if not names:
            return {}
        good, *answers = await self._run(
            DECIDE, state, weight, short_reason(reason), _who(by), *names
        )
        if not good:
            raise UnknownServerError(self.pool, tuple(map(_text, answers)))
        return dict(zip(names, map(_text, answers), strict=True))

    async def _now(self) -> float:
        return float(await self._link.ask(lambda client: client.eval(NOW, 1, self._key("seen"))))

    async def _run(self, script: Script, *words: str | bytes | int | float) -> Any:
        return await self._link.run(script, [self._key(part) for part in script.parts], words)

    def _key(self, part: str) -> str:
        return pool_key(self.pool, part)


def _who(by: str, otherwise: str = "") -> str:
    """Return who acts: by default the user and the host."""
    from perftui.cache.audit import operator

    return short_reason(by or otherwise or f"{operator()}@{socket.gethostname()}")


def _event(identity: bytes, fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    def word(name: bytes) -> str:
        return fields.get(name, b"").decode("utf-8", "surrogateescape")

    return {
        "id": _text(identity),
        "time": int(identity.partition(b"-")[0]) / 1000,
        "kind": word(b"kind"),
        "server": word(b"server"),
        "by": word(b"by"),
        "reason": word(b"reason"),
    }


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
