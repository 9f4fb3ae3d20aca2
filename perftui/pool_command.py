"""`perftui pool`: pools of servers and their events, and taking servers out and back.

Standard output is data, standard error is narration and the question that has to be answered.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perftui import pool_reports as reports
from perftui.cache_progress import say
from perftui.parser import FAILURE, USAGE, CommandError
from perftui.pool_changes import (
    OWN_WEIGHT,
    STATES,
    WARNING,
    Change,
    apply,
    forecast,
    leaves_none,
    weight_of,
    who,
)
from perftui.text import printable

if TYPE_CHECKING:
    import argparse

    from perftui.config import Settings
    from perftui.snapshot import Pool, PoolEvent, PoolServer, Snapshot

OK = 0
INCOMPLETE = 3
"""Not all was done: not confirmed, refused for some, or not drained in time."""
LOOK = 1.0
"""Seconds between two looks while a server drains or events are followed."""
READING = ("ls", "show", "events", "advice")


@dataclass(frozen=True)
class PoolOptions:
    """What was asked for; `words` are what stands behind the verb."""

    words: tuple[str, ...] = ()
    as_json: bool = False
    yes: bool = False
    force: bool = False
    everyone: bool = False
    follow: bool = False
    reason: str = ""
    wait: float | None = None
    seconds: float = 1.0


def asked(options: argparse.Namespace, seconds: float) -> PoolOptions:
    """Return what a command line asks for; raises CommandError for what does not fit."""
    wait: float | None = None
    if options.wait is not None:
        try:
            wait = float(options.wait)
        except ValueError:
            wait = -1.0
        if not 0 < wait <= 86_400:
            raise CommandError(
                f"--wait is {options.wait!r}; it must be seconds from 0 to 86400", USAGE
            )
    return PoolOptions(
        words=tuple(options.words),
        as_json=options.json,
        yes=options.yes,
        force=options.force,
        everyone=options.all,
        follow=options.follow,
        reason=options.reason or "",
        wait=wait,
        seconds=seconds,
    )


def run(what: str, settings: Settings, options: PoolOptions, write: Callable[[str], bool]) -> int:
    """Run one of ls, show, events, advice, drain, ready, maint and weight; return the exit code.

    Raises CommandError when it cannot do its work.
    """
    if not (settings.redis.url or settings.haproxy.sockets):
        raise CommandError(
            "no pool can be read: give --redis URL (or set REDIS_URL), or --haproxy SOCKET", USAGE
        )
    if what not in READING:
        return _change(what, settings, options, write)
    if what == "ls" and options.words:
        raise CommandError(f"argument {options.words[0]} does not belong here", USAGE)
    pools = _chosen(_read(settings, options.seconds), options.words)
    if what == "events":
        return _events(settings, pools, options, write)
    if options.as_json:
        write(reports.pools_json(pools))
    elif what == "ls":
        write(reports.pools_text(pools))
    elif what == "advice":
        write(reports.advice_text(pools))
    else:
        write(reports.servers_text(pools, name_pool=len(pools) > 1))
    return OK


def _read(settings: Settings, seconds: float) -> tuple[Pool, ...]:
    """Return all pools; raises CommandError when none can be read."""
    import msgspec

    from perftui.monitor import collect
    from perftui.snapshot import Absent, State

    replace = msgspec.structs.replace
    names = [
        *(["pools"] if settings.redis.url else []),
        *(["haproxy"] if settings.haproxy.sockets else []),
    ]
    alone = replace(settings, monitor=replace(settings.monitor, sources=names))
    snapshot: Snapshot = collect(alone, seconds)
    told = [
        absent
        for absent in (snapshot.pools, snapshot.haproxy)
        if isinstance(absent, Absent) and absent.state is not State.NOT_COLLECTED
    ]
    if told and not snapshot.all_pools:
        absent = told[0]
        raise CommandError(f"{absent.reason}; {absent.fix}" if absent.fix else absent.reason)
    for absent in told:
        say(absent.reason)
    return snapshot.all_pools


def _chosen(pools: Sequence[Pool], words: Sequence[str]) -> tuple[Pool, ...]:
    return tuple(_pool_named(pools, word) for word in words) if words else tuple(pools)


def _pool_named(pools: Sequence[Pool], word: str) -> Pool:
    """Return the pool of that name, or `name@socket`; raises CommandError that says which are."""
    from perftui.config.errors import closest

    found = [
        pool
        for pool in pools
        if word == pool.name or (pool.endpoint and word == f"{pool.name}@{pool.endpoint}")
    ]
    if len(found) == 1:
        return found[0]
    names = [pool.name if not pool.endpoint else f"{pool.name}@{pool.endpoint}" for pool in pools]
    if found:
        which = ", ".join(
            f"{pool.name}@{pool.endpoint}" if pool.endpoint else f"{pool.name} of Redis"
            for pool in found
        )
        raise CommandError(f"there are several pools {word!r}: {which}", USAGE)
    there = f"there are {', '.join(names)}" if names else "there is none"
    raise CommandError(f"there is no pool {word!r}{closest(word, names)}; {there}")


def _servers_named(pool: Pool, words: Sequence[str], everyone: bool) -> tuple[str, ...]:
    from perftui.config.errors import closest

    ids = [server.id for server in pool.servers]
    if everyone:
        if words:
            raise CommandError(f"argument {words[0]} does not belong beside --all", USAGE)
        if not ids:
            raise CommandError(f"pool {pool.name} has no server")
        return tuple(ids)
    for word in words:
        if word not in ids:
            there = ", ".join(ids[:10]) + (" and more" if len(ids) > 10 else "")
            raise CommandError(
                f"pool {pool.name} has no server {word!r}{closest(word, ids)}; it has {there}"
            )
    return tuple(dict.fromkeys(words))


def _change(
    what: str, settings: Settings, options: PoolOptions, write: Callable[[str], bool]
) -> int:
    words = list(options.words)
    weight = words.pop() if what == "weight" and words else ""
    if not words or (len(words) < 2 and not options.everyone):
        more = " N|+N|-N|own" if what == "weight" else ""
        raise CommandError(f"say which: perftui pool {what} POOL SERVER...{more}", USAGE)
    pool = _pool_named(_read(settings, 0.1), words[0])
    servers = _servers_named(pool, words[1:], options.everyone)
    weights = None
    if what == "weight":
        known = {server.id: server for server in pool.servers}
        weights = {name: _weight(weight, known[name], pool) for name in servers}
    change = Change(
        pool.name,
        pool.origin,
        pool.endpoint,
        servers,
        what if what in STATES else None,
        weights,
        options.reason,
        who(),
    )
    _tell(forecast(pool, change))
    if not _allowed(pool, change, options):
        return INCOMPLETE
    outcomes = apply(change, settings.redis.url)
    if options.as_json:
        write(reports.outcomes_json(_asked_for(change), outcomes))
    else:
        write(reports.outcomes_text(outcomes, _done(what, weights)))
    good = [outcome.server for outcome in outcomes if outcome.ok]
    if not good:
        return FAILURE
    if options.wait is not None and what in ("drain", "maint"):
        drained = _wait_until_drained(settings, pool, good, options.wait)
        return OK if drained and len(good) == len(outcomes) else INCOMPLETE
    return OK if len(good) == len(outcomes) else INCOMPLETE


def _weight(text: str, server: PoolServer, pool: Pool) -> int:
    try:
        return weight_of(text, server, pool.origin)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from None


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        warns = line.startswith(WARNING)
        say(f"warning: {line.removeprefix(WARNING)}" if warns else line)


def _allowed(pool: Pool, change: Change, options: PoolOptions) -> bool:
    """Whether the change may be made: asked and answered, or said beforehand.

    One that leaves no server needs the name of the pool, or --force.
    """
    none_left = leaves_none(pool, change)
    if options.yes and none_left and not options.force:
        raise CommandError("no server would be left to take requests: --force does it all the same")
    if options.yes or options.force:
        return True
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            "changes nothing without being asked on a terminal: --yes changes", USAGE
        )
    word = pool.name if none_left else "y"
    sys.stderr.write(f"type {printable(word)} to go on: ")
    sys.stderr.flush()
    try:
        typed = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        typed = ""
    if typed == word or (word == "y" and typed.lower() == "yes"):
        return True
    say("nothing was changed")
    return False


def _asked_for(change: Change) -> dict[str, Any]:
    return {
        "pool": change.pool,
        "origin": change.origin,
        "endpoint": change.endpoint,
        "state": change.state,
        "weights": None if change.weights is None else dict(change.weights),
        "reason": change.reason,
        "by": change.by,
    }


def _done(what: str, weights: dict[str, int] | None) -> str:
    if weights is None:
        return {"ready": "ready", "drain": "draining", "maint": "in maintenance"}[what]
    values = set(weights.values())
    if values == {OWN_WEIGHT}:
        return "has its own weight"
    return f"weight {values.pop()}" if len(values) == 1 else "weight set"


def _wait_until_drained(
    settings: Settings, pool: Pool, servers: Sequence[str], seconds: float
) -> bool:
    """Wait until no request is at work at the servers; say how many are while it lasts."""
    from perftui.snapshot import Absent

    end = time.monotonic() + seconds
    told = ""
    while True:
        now = _pool_named(_read(settings, 0.1), pool.name if not pool.endpoint else _full(pool))
        busy: list[str] = []
        for server in now.servers:
            if server.id not in servers or isinstance(server.in_flight, Absent):
                continue
            if server.in_flight and server.state not in ("stale", "down"):
                busy.append(f"{server.id} {server.in_flight}")
        if not busy:
            say("drained: no request is at work")
            return True
        if time.monotonic() >= end:
            say(f"not drained within {seconds:g} s: {', '.join(busy)} at work")
            return False
        words = f"at work: {', '.join(busy)}"
        if words != told:
            say(words)
            told = words
        time.sleep(min(LOOK, max(0.0, end - time.monotonic())))


def _full(pool: Pool) -> str:
    return f"{pool.name}@{pool.endpoint}"


def _events(
    settings: Settings, pools: Sequence[Pool], options: PoolOptions, write: Callable[[str], bool]
) -> int:
    seen: set[tuple[str, PoolEvent]] = set()
    several = len(pools) > 1
    while True:
        new = [
            (pool.name, event)
            for pool in pools
            for event in reversed(pool.events)
            if (pool.name, event) not in seen
        ]
        new.sort(key=lambda entry: entry[1].time)
        # What is no longer among the newest never comes again.
        seen = {(pool.name, event) for pool in pools for event in pool.events}
        text = reports.events_json(new) if options.as_json else reports.events_text(new, several)
        if (text and not write(text)) or not options.follow:
            return OK
        time.sleep(LOOK)
        pools = _chosen(_read(settings, 0.1), options.words)
