"""What a pool does inside Redis, at once for all; every key is fixed and passed in KEYS.

A script may not make keys of data (Redis manual, "Scripting with Lua"), so all that belongs to one
server is in fields of a few hashes and members of a few sorted sets.
"""

from __future__ import annotations

import hashlib

STALE_AFTER = 3.0
"""Seconds without a heartbeat after which a server is not picked."""
FORGOTTEN_AFTER = 3600.0
"""Seconds without a heartbeat after which nothing is left of a server but a decision."""
DECISION_KEPT = 7 * 86_400
"""Seconds for which an operator's decision waits for a server that is gone."""
MOSTEVENTS = 10_000

NOW = "local t = redis.call('TIME') return string.format('%d.%06d', t[1], t[2])"
"""The clock of Redis in seconds; in a cluster, that of the node the key is on."""


class Script:
    """A script's text, and the parts of a pool that its KEYS are, in their order."""

    def __init__(self, parts: str, *bodies: str) -> None:
        self.parts = tuple(parts.split())
        names = ", ".join(part.upper() for part in self.parts)
        keys = ", ".join(f"KEYS[{i}]" for i in range(1, len(self.parts) + 1))
        self.text = "".join((f"local {names} = {keys}\n", *bodies))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


CLOCK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
"""

EVENT = f"""
local function event(kind, server, by, reason)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', {MOSTEVENTS}, '*',
    'kind', kind, 'server', server, 'by', by, 'reason', reason)
end
"""

_DECODE = """
local function decode(hash, id)
  local text = redis.call('HGET', hash, id)
  if not text then return nil end
  local read, value = pcall(cjson.decode, text)
  return read and type(value) == 'table' and value or nil
end
local function number(value)
  return type(value) == 'number' and value or nil
end
"""

# Of many that fall silent at once each is taken out once, so a pick or a beat pays for few.
_GONE = f"""
local function gone(id)
  redis.call('ZREM', OK, id)
  redis.call('ZREM', OVER, id)
  if redis.call('ZREM', LIVE, id) == 1 then
    event('stale', id, '', 'no heartbeat for {STALE_AFTER:g} s')
  end
end
"""

BEAT = Script(
    "meta load status admin inflight picks done fails seconds seen live ok over kept limits events",
    CLOCK,
    EVENT,
    _DECODE,
    _GONE,
    f"""
local id = ARGV[1]
local known = redis.call('HEXISTS', META, id)
if ARGV[2] == '' and known == 0 then return {{'', 0}} end

for _, silent in ipairs(redis.call(
    'ZRANGEBYSCORE', LIVE, '-inf', now - {STALE_AFTER}, 'LIMIT', 0, 64)) do
  gone(silent)
end
for _, old in ipairs(redis.call(
    'ZRANGEBYSCORE', SEEN, '-inf', now - {FORGOTTEN_AFTER}, 'LIMIT', 0, 16)) do
  if old ~= id then
    for _, hash in ipairs({{META, LOAD, STATUS, INFLIGHT, PICKS, DONE, FAILS, SECONDS}}) do
      redis.call('HDEL', hash, old)
    end
    for _, set in ipairs({{SEEN, LIVE, OK, OVER}}) do redis.call('ZREM', set, old) end
    if redis.call('HEXISTS', ADMIN, old) == 1 then redis.call('ZADD', KEPT, now, old) end
    event('forget', old, '', 'no heartbeat for an hour')
  end
end
for _, old in ipairs(redis.call(
    'ZRANGEBYSCORE', KEPT, '-inf', now - {DECISION_KEPT}, 'LIMIT', 0, 16)) do
  redis.call('ZREM', KEPT, old)
  redis.call('HDEL', ADMIN, old)
end
"""
    """
local lived = redis.call('ZSCORE', LIVE, id)
redis.call('ZADD', SEEN, now, id)
redis.call('ZADD', LIVE, now, id)
redis.call('ZREM', KEPT, id)
local weight = tonumber(ARGV[3])
if ARGV[2] ~= '' then
  redis.call('HSET', META, id, ARGV[2])
else
  local meta = decode(META, id)
  weight = meta and number(meta.weight) or 1
end
local state = 'ready'
local admin = decode(ADMIN, id)
if admin then
  if admin.state == 'drain' or admin.state == 'maint' then state = admin.state end
  weight = number(admin.weight) or weight
end
local was = decode(STATUS, id) or {}
if known == 0 then
  event('join', id, '', '')
elseif not lived then
  event('back', id, '', '')
end

local fresh = ARGV[4] ~= ''
if fresh then redis.call('HSET', LOAD, id, ARGV[4]) end
if ARGV[8] ~= '' then redis.call('HSET', INFLIGHT, id, ARGV[8]) end
local leaving = ARGV[9] == '1'

local limits = {}
local common = redis.call('HMGET', LIMITS, 'cpu_threshold', 'memory_threshold',
  'request_threshold', 'strict', 'return_ratio', 'calm_beats', 'smoothing', 'max_excluded')
for i = 1, 8 do limits[i] = tonumber(common[i] or ARGV[9 + i]) or tonumber(ARGV[9 + i]) end
local strict, ratio, beats = limits[4] ~= 0, limits[5], limits[6]
local smoothing, share = limits[7], limits[8]
if strict then ratio, beats, smoothing = 1, 1, 0 end

-- Loads from before a silence say nothing about now.
local elapsed = lived and number(was.at) and math.max(0, now - was.at) or math.huge
local old = {number(was.cpu_usage), number(was.memory_usage), number(was.requests_per_second)}
local loads = {}
for i = 1, 3 do
  local new = tonumber(ARGV[4 + i])
  if not fresh then
    loads[i] = lived and old[i] or nil
  elseif new and old[i] and smoothing > 0 and elapsed < math.huge then
    loads[i] = old[i] + (new - old[i]) * (1 - math.exp(-elapsed / smoothing))
  else
    loads[i] = new
  end
end

-- Judged by heartbeats with a load only, and not in maintenance.
local overloaded, calm, why = false, 0, ''
local formats = {'cpu %.4g %% > %.4g %%', 'memory %.4g %% > %.4g %%', 'requests %.6g/s > %.6g/s'}
if state ~= 'maint' then
  local before = lived and was.overloaded == true
  local high = false
  for i = 1, 3 do
    local limit = limits[i] * (before and ratio or 1)
    if loads[i] and loads[i] > limit then
      high = true
      why = why .. (why == '' and '' or ', ') .. string.format(formats[i], loads[i], limit)
    end
  end
  if not fresh then
    overloaded, calm = before, number(was.calm) or 0
    why = before and type(was.why) == 'string' and was.why or ''
  else
    calm = high and 0 or (number(was.calm) or 0) + 1
    overloaded = high or (before and calm < beats)
    if overloaded and not high then
      why = string.format('below the thresholds for %d of %d heartbeats', calm, beats)
    end
  end
end

local eligible = state == 'ready' and not leaving and weight > 0
local kept = false
if eligible and overloaded then
  if strict then
    eligible = false
  else
    local is_over = redis.call('ZSCORE', OVER, id)
    local out = redis.call('ZCARD', OVER)
    local all = redis.call('ZCARD', OK) + out
    if not is_over and not redis.call('ZSCORE', OK, id) then all = all + 1 end
    local most = math.min(math.max(1, math.floor(share * all + 1e-9)), all - 1)
    if is_over then out = out - 1 end
    kept = out >= most
    eligible = kept
  end
end
if eligible then
  redis.call('ZADD', OK, 0, id)
else
  redis.call('ZREM', OK, id)
end
if overloaded and not eligible and state == 'ready' and not leaving and weight > 0 then
  redis.call('ZADD', OVER, 'NX', now, id)
else
  redis.call('ZREM', OVER, id)
end

if leaving and was.leaving ~= true then
  event('leaving', id, '', 'the server ends its requests')
elseif overloaded and (was.overloaded ~= true or (was.kept == true) ~= kept) then
  event(kept and 'kept' or 'overload', id, '', why)
elseif was.overloaded == true and not overloaded then
  event('recovered', id, '', '')
end

local since = lived and was.eligible == eligible and number(was.since) or now
local function shown(value) return value and string.format('%.6g', value) or 'null' end
redis.call('HSET', STATUS, id, string.format(
  '{"cpu_usage":%s,"memory_usage":%s,"requests_per_second":%s,"overloaded":%s,"calm":%d,' ..
  '"kept":%s,"eligible":%s,"since":%.6f,"at":%.6f,"why":%s,"leaving":%s}',
  shown(loads[1]), shown(loads[2]), shown(loads[3]), tostring(overloaded), math.min(calm, 1e6),
  tostring(kept), tostring(eligible), since, now, cjson.encode(why), tostring(leaving)))
return {state, known}
""",
)
"""Takes in a heartbeat or a registration.

ARGV: id; meta, empty for what is known; weight; load, empty for a registration; cpu, memory,
requests per second, requests at work, each empty for unknown; 1 for leaving; eight rules. Returns
the operator's state, empty for a server that is not known, and whether it was known.
"""

PICK = Script(
    "ok rr seen inflight picks live over events",
    CLOCK,
    EVENT,
    _GONE,
    f"""
local count = redis.call('ZCARD', OK)
if count == 0 then return false end
local rank = (redis.call('INCR', RR) - 1) % count
local excluded = {{}}
for _, id in ipairs(ARGV) do excluded[id] = true end
local passed = 0
while passed < count do
  local id = redis.call('ZRANGE', OK, rank, rank)[1]
  if not id then
    rank = 0
    if redis.call('ZCARD', OK) == 0 then return false end
  elseif excluded[id] then
    passed = passed + 1
    rank = (rank + 1) % count
  else
    local seen = redis.call('ZSCORE', SEEN, id)
    if seen and now - seen <= {STALE_AFTER} then
      redis.call('HINCRBY', INFLIGHT, id, 1)
      redis.call('HINCRBY', PICKS, id, 1)
      return id
    end
    -- The next one has its rank now.
    gone(id)
    count = count - 1
    if rank >= count then rank = 0 end
  end
end
return false
""",
)
"""Picks by turns; ARGV: ids to pass over. Returns an id, nil for nobody."""

_COUNT = """
local function count(id, picks, at_work, done, fails, seconds)
  if redis.call('HEXISTS', META, id) == 0 then return end
  if picks ~= 0 then redis.call('HINCRBY', PICKS, id, picks) end
  if at_work ~= 0 and redis.call('HINCRBY', INFLIGHT, id, at_work) < 0 then
    redis.call('HSET', INFLIGHT, id, 0)
  end
  if done ~= 0 then redis.call('HINCRBY', DONE, id, done) end
  if fails ~= 0 then redis.call('HINCRBY', FAILS, id, fails) end
  if seconds ~= 0 then redis.call('HINCRBYFLOAT', SECONDS, id, seconds) end
end
"""

RELEASE = Script(
    "meta inflight picks done fails seconds",
    _COUNT,
    "count(ARGV[1], 0, -1, 1, ARGV[3] == '1' and 0 or 1, tonumber(ARGV[2]) or 0)\n",
)
"""Counts a picked request as finished; ARGV: id, seconds or empty, 1 for well."""

COUNT = Script(
    "meta inflight picks done fails seconds",
    _COUNT,
    """
for i = 1, #ARGV, 6 do
  count(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]),
    tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5]))
end
""",
)
"""Adds a balancer's counts; ARGV: six for each server, id and the fields of Counts."""

DECIDE = Script(
    "meta load status admin live ok over events decisions",
    CLOCK,
    EVENT,
    _DECODE,
    """
local chosen, set, reason, by = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local unknown = {0}
for i = 5, #ARGV do
  if redis.call('HEXISTS', META, ARGV[i]) == 0 then unknown[#unknown + 1] = ARGV[i] end
end
if #unknown > 1 then return unknown end
redis.call('INCR', DECISIONS)
local held = {1}
for i = 5, #ARGV do
  local id = ARGV[i]
  local admin = decode(ADMIN, id) or {}
  local before = 'ready'
  if admin.state == 'drain' or admin.state == 'maint' then before = admin.state end
  held[#held + 1] = before
  local state = chosen == '' and before or chosen
  local weight = number(admin.weight)
  if set == 'own' then weight = nil elseif set ~= '' then weight = tonumber(set) end
  local since = state == before and number(admin.since) or now
  local why = chosen == '' and type(admin.reason) == 'string' and admin.reason or
    chosen ~= '' and reason or ''
  local who = chosen == '' and type(admin.by) == 'string' and admin.by or by
  if state == 'ready' and not weight then
    redis.call('HDEL', ADMIN, id)
  else
    redis.call('HSET', ADMIN, id, string.format(
      '{"state":"%s","reason":%s,"since":%.6f,"by":%s,"weight":%s}', state, cjson.encode(why),
      since, cjson.encode(who), weight and string.format('%d', weight) or 'null'))
  end
  if chosen ~= '' then event(chosen, id, by, reason) end
  if set ~= '' then
    event('weight', id, by, (set == 'own' and 'its own' or set) .. (reason == '' and '' or
      ': ' .. reason))
  end
  local meta = decode(META, id) or {}
  local load = decode(LOAD, id) or {}
  local status = decode(STATUS, id) or {}
  local counts = (weight or number(meta.weight) or 1) > 0
  if state ~= 'ready' or not counts then
    redis.call('ZREM', OK, id)
    redis.call('ZREM', OVER, id)
  elseif redis.call('ZSCORE', LIVE, id) and load.leaving ~= true
      and (status.overloaded ~= true or status.kept == true) then
    redis.call('ZADD', OK, 0, id)
  end
end
return held
""",
)
"""Decides for servers; ARGV: state or empty, weight, `own` or empty, reason, by, ids.

Returns 1 and the states before, or 0 and the ids that are not known, with nothing changed.
"""

DEREGISTER = Script(
    "meta load status inflight picks done fails seconds seen live ok over admin kept events",
    CLOCK,
    EVENT,
    """
local id = ARGV[1]
local known = redis.call('HEXISTS', META, id)
for _, hash in ipairs({META, LOAD, STATUS, INFLIGHT, PICKS, DONE, FAILS, SECONDS}) do
  redis.call('HDEL', hash, id)
end
for _, set in ipairs({SEEN, LIVE, OK, OVER}) do redis.call('ZREM', set, id) end
if redis.call('HEXISTS', ADMIN, id) == 1 then redis.call('ZADD', KEPT, now, id) end
if known == 1 then event('leave', id, ARGV[3], ARGV[2]) end
return known
""",
)
"""Takes a server out; ARGV: id, reason, by. Returns 1 if it was in the pool."""
