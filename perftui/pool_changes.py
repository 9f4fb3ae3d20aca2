"""Changes that a person makes to the servers of a pool: what would follow, and carrying them out.

The same for a pool in Redis and for a backend of HAProxy; screen and command line both use it.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from perftui.snapshot import Absent, Maybe, Pool, PoolServer

if TYPE_CHECKING:
    from perftui.pool.registry import PoolRegistry

WARNING: Final = "! "
"""What a line of a forecast begins with that should make somebody think again."""

STATES: Final = ("ready", "drain", "maint")
HALF: Final = 0.5
"""Share of well servers below which balancers use all live ones, unless a pool says otherwise."""

_STANDING: Final = {"ready": "ready", "drain": "draining", "maint": "in maintenance"}


class Change(NamedTuple):
    """What shall be changed of some servers of one pool.

    `state` is ready, drain or maint, or None to leave it; `weights` are absolute, by server, None
    to leave them, and a weight of -1 is the one the server registered with. `endpoint` is the
    socket of HAProxy, empty for Redis. `by` is who acts.
    """

    pool: str
    origin: str
    endpoint: str
    servers: tuple[str, ...]
    state: str | None
    weights: Mapping[str, int] | None
    reason: str
    by: str


class Outcome(NamedTuple):
    """What came of it for one server.

    `before` is its state before, as far as it is known; `answer` are the words of the registry or
    of HAProxy, empty where it simply worked.
    """

    server: str
    ok: bool
    before: str
    answer: str


OWN_WEIGHT: Final = -1
MOST_WEIGHT: Final = 1_000_000
MOST_WEIGHT_OF_HAPROXY: Final = 256


def who() -> str:
    """Return who acts: the user's login name at this host."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def forecast(pool: Pool, change: Change) -> tuple[str, ...]:
    """Return in words what would follow; lines that begin with `! ` are warnings."""
    known = {server.id: server for server in pool.servers}
    chosen = [known[name] for name in change.servers if name in known]
    lines = [
        f"{WARNING}pool {pool.name} has no server {name}"
        for name in change.servers
        if name not in known
    ]
    if pool.origin == "haproxy" and pool.level and pool.level != "admin":
        lines.append(
            f"{WARNING}the socket {pool.endpoint} has level {pool.level} and will refuse: "
            "configure it with `level admin`"
        )
    lines += _already(chosen, change)
    before = [server for server in pool.servers if takes(server)]
    after = [server for server in pool.servers if _would_take(server, change)]
    if change.state is not None or change.weights is not None:
        lines += _what_is_left(pool, before, after, change)
        lines += _shares(before, after, change)
        lines += _burden(pool, before, after, change)
    if change.state == "ready":
        lines += _not_by_this(chosen)
    return tuple(lines)


def leaves_none(pool: Pool, change: Change) -> bool:
    """Whether no server would be left that takes requests, though one does now."""
    return any(map(takes, pool.servers)) and not any(
        _would_take(server, change) for server in pool.servers
    )


def takes(server: PoolServer) -> bool:
    """Whether a server gets requests now."""
    if not isinstance(server.eligible, Absent):
        return server.eligible and server.weight > 0
    return server.state == "ready" and server.weight > 0


def _would_take(server: PoolServer, change: Change) -> bool:
    if server.id not in change.servers:
        return takes(server)
    weight = _weight_after(server, change)
    if change.state in ("drain", "maint") or not weight:
        return False
    if change.state == "ready":
        return server.state not in ("stale", "down") and not server.overloaded
    return takes(server) or (server.state == "ready" and not server.weight)


def _weight_after(server: PoolServer, change: Change) -> int:
    if change.weights is None or server.id not in change.servers:
        return server.weight
    weight = change.weights.get(server.id, server.weight)
    # What it registered with is not known here; it is hardly 0.
    return max(1, server.weight) if weight == OWN_WEIGHT else weight


def _already(chosen: Sequence[PoolServer], change: Change) -> list[str]:
    lines: list[str] = []
    if change.state is not None:
        same = [server.id for server in chosen if _decided(server) == change.state]
        if same:
            lines.append(f"{_names(same)} {_are(same)} {_STANDING[change.state]} already")
    for server in chosen:
        if change.weights is None or server.id not in change.weights:
            continue
        weight = change.weights[server.id]
        if weight == OWN_WEIGHT:
            continue
        set_now = _number(server.weight_set, server.weight)
        if weight == set_now:
            lines.append(f"{server.id} has weight {weight} already")
        elif not weight:
            lines.append(f"{WARNING}{server.id} would get no requests with weight 0")
    return lines


def _decided(server: PoolServer) -> str:
    if server.decided:
        return server.decided
    return server.state if server.state in ("drain", "maint") else "ready"


def _what_is_left(
    pool: Pool, before: Sequence[PoolServer], after: Sequence[PoolServer], change: Change
) -> list[str]:
    if change.state is None and len(before) == len(after):
        return []
    total = len(pool.servers)
    words = f"leaves {len(after)} of {total} servers eligible, now {len(before)}"
    if not after and before:
        return [f"{WARNING}{words}: no server is left to take requests"]
    lines = [words]
    fewer = len(after) < len(before)
    least = None if isinstance(pool.advice, Absent) else pool.advice.min_instances
    if fewer and least is not None and len(after) < least:
        lines[0] = f"{WARNING}{words}; the pool should have {least} at least"
    live = [server for server in pool.servers if _wanted_after(server, change)]
    if fewer and pool.origin == "redis" and len(after) < HALF * len(live):
        lines.append(
            f"{WARNING}fewer than half of the {len(live)} live servers: balancers fall back to all "
            "of them, overloaded ones too"
        )
    return lines


def _wanted_after(server: PoolServer, change: Change) -> bool:
    """Whether a server would be alive, and taken out by nobody."""
    if server.state in ("stale", "down") or server.leaving:
        return False
    if server.id in change.servers and change.state is not None:
        return change.state == "ready"
    return server.state == "ready"


def _shares(before: Sequence[PoolServer], after: Sequence[PoolServer], change: Change) -> list[str]:
    """Return what a change of weights does to the shares of the picks."""
    if change.weights is None:
        return []
    old = {server.id: server.weight for server in before}
    new = {server.id: _weight_after(server, change) for server in after}
    if not sum(old.values()) or not sum(new.values()):
        return []
    lines: list[str] = []
    for name in change.servers[:4]:
        now = 100 * old.get(name, 0) / sum(old.values())
        then = 100 * new.get(name, 0) / sum(new.values())
        if name in old or name in new:
            lines.append(f"{name} would get {then:.0f} % of the picks, now {now:.0f} %")
    return lines


def _burden(
    pool: Pool, before: Sequence[PoolServer], after: Sequence[PoolServer], change: Change
) -> list[str]:
    """Return what the servers that stay would have to carry."""
    old = sum(server.weight for server in before)
    stay = [server for server in after if takes(server)]
    new = sum(_weight_after(server, change) for server in after)
    if not stay or not old or not new or len(after) >= len(before):
        return []
    factor = old / new
    if factor <= 1.005:
        return []
    each = f"{stay[0].id} would get" if len(stay) == 1 else f"each of the {len(stay)} would get"
    line = f"{each} {factor:.2g} times its requests"
    if isinstance(pool.thresholds, Absent):
        return [line]
    worst: list[str] = []
    for what, unit, limit, values in (
        ("cpu", " %", pool.thresholds.cpu, [server.cpu_usage for server in stay]),
        ("requests", "/s", pool.thresholds.requests, [s.requests_per_second for s in stay]),
    ):
        most = max((value for value in values if not isinstance(value, Absent)), default=None)
        if most is not None and most * factor > limit:
            worst.append(f"{what} about {most * factor:.3g}{unit} > {limit:g}{unit}")
    if worst:
        return [f"{WARNING}{line}: {', '.join(worst)}"]
    return [line]


def _not_by_this(chosen: Sequence[PoolServer]) -> list[str]:
    """Return why servers that are made ready will not take requests all the same."""
    lines: list[str] = []
    silent = [server.id for server in chosen if server.state in ("stale", "down")]
    if silent:
        lines.append(
            f"{WARNING}{_names(silent)} {_are(silent)} silent and take no requests before "
            "they are heard of again"
        )
    leaving = [server.id for server in chosen if server.leaving]
    if leaving:
        lines.append(f"{WARNING}{_names(leaving)} {_are(leaving)} stopping: nothing brings it back")
    return lines


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _number(value: Maybe[int], otherwise: int) -> int:
    return otherwise if isinstance(value, Absent) else value


def weight_of(text: str, server: PoolServer, origin: str) -> int:
    """Return the weight that is meant by a number, by +N or -N, or by `own`.

    Raises ValueError that says what it may be.
    """
    if text.strip() == "own":
        return OWN_WEIGHT
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"weight is {text!r}; it must be a number, +N, -N, or own") from None
    most = MOST_WEIGHT_OF_HAPROXY if origin == "haproxy" else MOST_WEIGHT
    if text.strip()[0] in "+-":
        return min(most, max(0, _number(server.weight_set, server.weight) + number))
    if number > most:
        raise ValueError(f"weight is {number}; it must be 0 to {most}")
    return number


def apply(change: Change, redis_url: str, timeout: float = 5.0) -> tuple[Outcome, ...]:
    """Carry out a change and return what came of it for every server.

    Refusals and failures are outcomes, with the words of whoever refused. In Redis all servers are
    changed or none; HAProxy is asked for one after the other. `timeout` is in seconds, for all of
    it in Redis and for each command to HAProxy.
    """
    if change.origin == "haproxy":
        from perftui.pool_change_haproxy import change_haproxy

        return change_haproxy(change, timeout)
    return _change_redis(change, redis_url, timeout)


def _change_redis(change: Change, redis_url: str, timeout: float) -> tuple[Outcome, ...]:
    import asyncio

    if not redis_url:
        return _failed(change, "no Redis is named: give --redis URL or set REDIS_URL")
    try:
        return asyncio.run(_in_registry(change, redis_url, timeout))
    except ValueError as error:
        return _failed(change, str(error))


async def _in_registry(change: Change, redis_url: str, timeout: float) -> tuple[Outcome, ...]:
    import asyncio

    from perftui.pool.errors import PoolError, UnknownServerError
    from perftui.pool.registry import PoolRegistry

    before: dict[str, str] = {}
    async with PoolRegistry(redis_url, change.pool, timeout=timeout) as registry:
        try:
            async with asyncio.timeout(timeout):
                if change.state is not None:
                    before = await registry.set_state(
                        change.servers, change.state, change.reason, change.by
                    )
                if change.weights is not None:
                    before = await _set_weights(registry, change) | before
        except UnknownServerError as error:
            unknown = set(error.servers)
            return tuple(
                Outcome(
                    server,
                    False,
                    "",
                    f"pool {change.pool} has no server {server}"
                    if server in unknown
                    else "not changed, since others are not there",
                )
                for server in change.servers
            )
        except PoolError as error:
            return _failed(change, str(error))
        except TimeoutError:
            return _failed(change, f"Redis did not answer within {timeout:g} s")
    return tuple(Outcome(server, True, before.get(server, ""), "") for server in change.servers)


async def _set_weights(registry: PoolRegistry, change: Change) -> dict[str, str]:
    """Set the weights, those of equal ones at once."""
    assert change.weights is not None
    by_weight: dict[int, list[str]] = {}
    for server in change.servers:
        if server in change.weights:
            by_weight.setdefault(change.weights[server], []).append(server)
    before: dict[str, str] = {}
    for weight, servers in by_weight.items():
        chosen = None if weight == OWN_WEIGHT else weight
        before |= await registry.set_weight(servers, chosen, change.reason, change.by)
    return before


def _failed(change: Change, answer: str) -> tuple[Outcome, ...]:
    return tuple(Outcome(server, False, "", answer) for server in change.servers)


def each_state(
    pool: Pool, change: Change, show: Callable[[PoolServer], str]
) -> tuple[tuple[str, str, str], ...]:
    """Return server, now and then for every server of a change that exists."""
    known = {server.id: server for server in pool.servers}
    rows: list[tuple[str, str, str]] = []
    for name in change.servers:
        server = known.get(name)
        if server is None:
            continue
        then: list[str] = []
        if change.state is not None:
            then.append(change.state)
        if change.weights is not None and name in change.weights:
            weight = change.weights[name]
            then.append("its own weight" if weight == OWN_WEIGHT else f"weight {weight}")
        rows.append((name, show(server), ", ".join(then)))
    return tuple(rows)
