"""What is told to the events of a pool by others than its servers and operators."""

from __future__ import annotations

from perftui.pool.scripts import CLOCK, EVENT, Script

PANIC = Script(
    "panics events",
    CLOCK,
    EVENT,
    """
local before = redis.call('ZCARD', PANICS)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', PANICS, '-inf', now - 30, 'LIMIT', 0, 64)) do
  redis.call('ZREM', PANICS, dead)
end
local told = redis.call('ZCARD', PANICS)
if ARGV[2] == '1' then
  redis.call('ZADD', PANICS, now, ARGV[1])
  if told == 0 then event('panic', '', ARGV[4], ARGV[3]) end
else
  redis.call('ZREM', PANICS, ARGV[1])
  if before > 0 and redis.call('ZCARD', PANICS) == 0 then
    event('panic-over', '', ARGV[4], ARGV[3])
  end
end
""",
)
"""Takes in whether a balancer is in panic; ARGV: its name, 1 for yes, reason, by."""

RECORD = Script("events", EVENT, "event(ARGV[1], ARGV[2], ARGV[3], ARGV[4])\n")
"""Adds an event; ARGV: kind, server, by, reason."""
