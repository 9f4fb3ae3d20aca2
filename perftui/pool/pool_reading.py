"""What the keys of a pool hold, read in one round trip: of all servers, or of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perftui.pool.eligibility import EligibilityRules
from perftui.pool.scripts import NOW
from perftui.pool.server_view import HASHES, PoolParts

if TYPE_CHECKING:
    from perftui.pool.link import PoolLink

READ_SECONDS = 2.0
"""Seconds that a reading of the whole pool may take, each answer within the timeout."""
MOST_SERVERS = 10_000


async def all_servers(link: PoolLink, key: Callable[[str], str]) -> PoolParts:
    """Return what is known of all servers; `key` makes the key of a part."""

    def read(client: Any) -> Any:
        pipeline = client.pipeline(transaction=False)
        pipeline.eval(NOW, 1, key("seen"))
        for part in HASHES:
            pipeline.hgetall(key(part))
        for part in ("seen", "ok"):
            pipeline.zrange(key(part), 0, MOST_SERVERS - 1, desc=True, withscores=True)
        return pipeline.execute()

    now, *hashes, seen, eligible = await link.ask(read, READ_SECONDS)
    return PoolParts._make(
        [float(now), *hashes, dict(seen), frozenset(server for server, _ in eligible)]
    )


async def one_server(link: PoolLink, key: Callable[[str], str], server: str) -> PoolParts:
    """Return what is known of one server; the cost does not depend on how many there are."""
    name = server.encode()

    def read(client: Any) -> Any:
        pipeline = client.pipeline(transaction=False)
        pipeline.eval(NOW, 1, key("seen"))
        for part in HASHES:
            pipeline.hget(key(part), name)
        for part in ("seen", "ok"):
            pipeline.zscore(key(part), name)
        return pipeline.execute()

    now, *values, seen, eligible = await link.ask(read)
    return PoolParts._make(
        [
            float(now),
            *({} if value is None else {name: value} for value in values),
            {} if seen is None else {name: float(seen)},
            frozenset(() if eligible is None else (name,)),
        ]
    )


async def stored_rules(
    link: PoolLink, key: Callable[[str], str], own: EligibilityRules
) -> EligibilityRules:
    """Return the rules that hold for all servers of the pool, one's own where none are stored."""
    told: dict[bytes, bytes] = await link.ask(lambda client: client.hgetall(key("limits")))
    words: dict[str, Any] = own.words()
    try:
        for name in words:
            if name.encode() in told:
                words[name] = float(told[name.encode()])
        return EligibilityRules(
            **{**words, "strict": bool(words["strict"]), "calm_beats": int(words["calm_beats"])}
        )
    except ValueError:
        return own
