-- What: sets one fact of a room's bookkeeping, while everything that it was judged by still holds.
-- KEYS: queue dead generating room messages states open account
-- ARGV: room owner limit apply key name value *seen
--       limit is how many waiting operations may be counted; apply is '1' to set the fact, else it is only compared;
--       key, name and value are the fact to set, and `seen` are more of them, three words each, that have to hold.
--       Keys of facts: room, account and states (hashes, the name is a field), open and generating (sorted sets, the
--       value is a score), waiting (how many operations of the `room` or its `account` are queued or parked),
--       lifetimes (only to set: those of the room end). An empty value stands for none
-- Returns: OK | DUPLICATE (something moved since) | MISSING | GONE | OVERLOADED (too much waits to be counted)
-- Guarantees: it judges nothing: the rules are in parlor/fsck/bookkeeping.py. No document and no state is touched.
-- Safe to repeat because: the fact is absolute, and what it was judged by does not hold any more once it is set.
local state = redis.call('HGET', K.room, 'state')
if not state then
  return {CODE.MISSING}
end
if state == 'DELETING' or state == 'DELETED' then
  return {CODE.GONE}
end

local waiting = {room = 0, account = 0}
local function count(entries)
  for _, entry in ipairs(entries) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'room' and entry[2][i + 1] == A.room then
        waiting.room = waiting.room + 1
      elseif entry[2][i] == 'owner' and entry[2][i + 1] == A.owner then
        waiting.account = waiting.account + 1
      end
    end
  end
end

local function read(key, name)
  if key == 'room' then
    return redis.call('HGET', K.room, name)
  elseif key == 'account' then
    return redis.call('HGET', K.account, name)
  elseif key == 'states' then
    return redis.call('HGET', K.states, name)
  elseif key == 'open' then
    return redis.call('ZSCORE', K.open, name)
  elseif key == 'generating' then
    return redis.call('ZSCORE', K.generating, name)
  end
  return waiting[name]
end

local function holds(key, name, value)
  local found = read(key, name)
  if not found then
    -- A counter that is not there is 0.
    return value == '' or (value == '0' and (key == 'room' or key == 'account'))
  end
  return (tonumber(found) or found) == (tonumber(value) or value)
end

local counted = false
for i = 1, #REST, 3 do
  if REST[i] == 'waiting' and not counted then
    if redis.call('XLEN', K.queue) + redis.call('XLEN', K.dead) > tonumber(A.limit) then
      return {CODE.OVERLOADED}
    end
    count(redis.call('XRANGE', K.queue, '-', '+'))
    count(redis.call('XRANGE', K.dead, '-', '+'))
    counted = true
  end
  if not holds(REST[i], REST[i + 1], REST[i + 2]) then
    return {CODE.DUPLICATE}
  end
end
if A.apply ~= '1' then
  return {CODE.OK}
end
if A.key == 'room' then
  redis.call('HSET', K.room, A.name, A.value)
elseif A.key == 'account' then
  redis.call('HSET', K.account, A.name, A.value)
elseif A.key == 'open' and A.value == '' then
  redis.call('ZREM', K.open, A.name)
elseif A.key == 'open' then
  redis.call('ZADD', K.open, A.value, A.name)
elseif A.key == 'generating' and A.value == '' then
  redis.call('ZREM', K.generating, A.name)
elseif A.key == 'generating' then
  redis.call('ZADD', K.generating, A.value, A.name)
elseif A.key == 'lifetimes' then
  redis.call('PERSIST', K.room)
  redis.call('PERSIST', K.messages)
  redis.call('PERSIST', K.states)
end
return {CODE.OK}
