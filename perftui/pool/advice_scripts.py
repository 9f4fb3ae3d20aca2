"""One adviser at a time for a pool, and what it advises; see `scripts` for the rules of these."""

from __future__ import annotations

from perftui.pool.scripts import EVENT, Script

HOLD = Script(
    "adviser",
    """
    local holder = redis.call('GET', ADVISER)
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', ADVISER, ARGV[1], 'PX', ARGV[2])
    return 1
    """,
)
"""Arguments: holder, milliseconds. Returns whether the holder is the one adviser until then."""

LET_GO = Script(
    "adviser",
    "if redis.call('GET', ADVISER) == ARGV[1] then redis.call('DEL', ADVISER) end return 1",
)
"""Argument: holder, who advises no more."""

ADVISE = Script(
    "adviser advice events",
    EVENT,
    """
    if ARGV[1] ~= '' and redis.call('GET', ADVISER) ~= ARGV[1] then return 0 end
    redis.call('SET', ADVICE, ARGV[2], 'EX', ARGV[3])
    if ARGV[5] ~= '' then event('scale', '', ARGV[4], ARGV[5]) end
    return 1
    """,
)
"""Arguments: holder or nothing, advice in JSON, seconds it is kept, who, reason of an event or
nothing. Returns 0, and changes nothing, for a holder that another one has followed."""
