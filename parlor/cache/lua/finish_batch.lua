-- What: one room's operations are committed: final states, watermark, TTLs, and the queue entries are gone.
-- KEYS: partition lease queue generating room messages states open events account rooms account_events
-- ARGV: room lease now messages_kept states_kept room_ttl message_ttl list_ttl event_ttl event_max *entries
--       entries: queue id, operation (RESERVED for the row that reserves a reply's slot), seq, message id ('' when it
--       has none) and version of each
-- Returns: OK | LEASE_LOST
-- Guarantees: SENT and ACTIVE are reached here only, after the commit (I12); nothing expires before it is stored; every
--       message up to the watermark is in the shard, a deleted one as its tombstone.
-- Safe to repeat because: an entry that is gone from the queue is not counted again, and final states stay.
--@include require_lease
--@include transition
--@include emit
--@include take_entries
local refused = require_lease()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'state', 'persisted', 'seq', 'trimmed', 'forgotten')
local known = found[1]
local gone = known == 'DELETING' or known == 'DELETED'
local persisted, last = tonumber(found[2] or '0'), tonumber(found[3] or '0')

-- A room that was loaded while operations were queued does not know their messages, or takes a reply for open whose
-- end was queued: it learns here what became of them.
-- A message that was edited or begun anew meanwhile is not settled by what it said before, or by a save that does not
-- say its version; a delete has none, and is final.
local function settle(seq, message, to, version)
  local about = redis.call('HMGET', K.states, 's:' .. seq, 'v:' .. seq, 'l:' .. seq)
  local state = about[1]
  if about[2] and to ~= 'DELETED' and (tonumber(version) or -1) < tonumber(about[2]) then
    return
  end
  if not state and not gone and tonumber(seq) > persisted then
    redis.call('HSET', K.states, 's:' .. seq, to, 'i:' .. message, seq, 'm:' .. seq, message)
    if to == 'COMPOSING' then
      redis.call('ZADD', K.open, seq, message)
      redis.call('ZADD', K.generating, 'NX', A.now, A.room)
    end
  elseif state == 'COMPOSING' and to ~= 'COMPOSING' then
    redis.call('HSET', K.states, 's:' .. seq, to)
    redis.call('ZREM', K.open, message)
    if redis.call('ZCARD', K.open) == 0 then
      redis.call('ZREM', K.generating, A.room)
    end
  elseif to ~= 'COMPOSING' then
    step_message(seq, state, about[3], to, 'writer')
  end
end

local done = take_entries(5)
for i = 2, #REST, 5 do
  local op, seq, message, version = REST[i], REST[i + 1], REST[i + 2], REST[i + 3]
  if known and op == 'CHAT_MESSAGE_SAVE' then
    settle(seq, message, 'SENT', version)
  elseif known and op == 'RESERVED' then
    settle(seq, message, 'COMPOSING', version)
  elseif known and op == 'CHAT_MESSAGE_DELETE' then
    settle(seq, message, 'DELETED')
    redis.call('HDEL', K.states, 'x:' .. seq)
  elseif known and op == 'CHAT_ROOM_CREATE' then
    if move_room('ACTIVE', 'writer') then
      emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
    end
  elseif known and op == 'CHAT_ROOM_DELETE' then
    move_room('DELETED', 'writer')
  end
end
local taken = 0 - done  -- Not -done: of 0 that is -0, which is no integer to Redis 7.
if redis.call('EXISTS', K.account) == 1 and redis.call('HINCRBY', K.account, 'pending', taken) <= 0 then
  redis.call('HSET', K.account, 'pending', 0)
  redis.call('PEXPIRE', K.account, A.room_ttl)
  redis.call('PEXPIRE', K.rooms, A.list_ttl)
end
if not known then
  return {CODE.OK}
end

local STORED = {SENT = true, DELETING = true, DELETED = true}
for _ = 1, 5000 do
  local about = persisted < last and redis.call('HMGET', K.states, 's:' .. (persisted + 1), 'x:' .. (persisted + 1))
  -- A delete that is on its way to the shard (x) may be of a message that never got there.
  if not about or not about[1] or not STORED[about[1]] or about[2] then
    break
  end
  persisted = persisted + 1
end
-- The cache keeps a tail of messages and a longer one of states; what falls off is stored.
local trimmed, forgotten = tonumber(found[4] or '0'), tonumber(found[5] or '0')
local cut = math.min(persisted - tonumber(A.messages_kept), trimmed + 500)
local fields = {}
while trimmed < cut do
  trimmed = trimmed + 1
  fields[#fields + 1], fields[#fields + 2] = 'd:' .. trimmed, 'v:' .. trimmed
end
if #fields > 0 then
  redis.call('HDEL', K.messages, unpack(fields))
end
cut = math.min(persisted - tonumber(A.states_kept), forgotten + 500)
while forgotten < cut do
  local seq = forgotten + 1
  local about = redis.call('HMGET', K.states, 's:' .. seq, 'm:' .. seq, 'x:' .. seq)
  if about[1] == 'DELETING' or about[3] then
    break  -- The shard does not know of this delete yet.
  end
  redis.call('HDEL', K.states, 's:' .. seq, 'l:' .. seq, 'm:' .. seq, 'v:' .. seq, 'n:' .. seq,
    'i:' .. (about[2] or ''))
  forgotten = seq
end
redis.call('HSET', K.room, 'persisted', persisted, 'trimmed', trimmed, 'forgotten', forgotten)
if redis.call('HINCRBY', K.room, 'pending', taken) <= 0 and redis.call('ZCARD', K.open) == 0 then
  redis.call('HSET', K.room, 'pending', 0)
  redis.call('PEXPIRE', K.room, A.room_ttl)
  redis.call('PEXPIRE', K.states, A.room_ttl)
  redis.call('PEXPIRE', K.messages, A.message_ttl)
end
redis.call('PUBLISH', K.events, '')
return {CODE.OK}
