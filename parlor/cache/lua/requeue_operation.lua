-- What: queues an operation again, as Redis has it, because it is neither queued nor parked nor stored.
-- KEYS: partition queue room messages states account rooms
-- ARGV: installation room owner db_key request now op seq message pending
--       op is CHAT_ROOM_CREATE, CHAT_ROOM_UPDATE (title, persona, metadata), CHAT_ROOM_DELETE,
--       CHAT_MESSAGE_SAVE (or the delete, when the message is going or gone), or COUNTERS: the row once more as it is,
--       for the room's counters that come with it; pending is the room's when the loss was seen
-- Returns: OK | DUPLICATE (something was queued or finished since) | PARTITION_UNKNOWN | FOREIGN | MISSING | NO_MESSAGE
-- Guarantees: operations are versioned in the shard (I8), so what is stored after all is not overwritten.
-- Safe to repeat because: the operation itself raises `pending`.
--@include require_partition
--@include enqueue
--@include tell_counters
local refused = require_partition()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'state', 'pending', 'title', 'persona', 'created', 'version', 'seq', 'count',
  'active', 'metadata')
if not found[1] then
  return {CODE.MISSING}
end
if tonumber(found[2] or '0') ~= tonumber(A.pending) then
  return {CODE.DUPLICATE}
end
if A.op == 'CHAT_ROOM_CREATE' then
  enqueue(A.op, 'title', found[3], 'persona', found[4], 'at', found[5], 'version', found[6],
    'external', redis.call('HGET', K.room, 'external') or '', 'metadata', found[10] or '')
  tell_counters(found[7], found[8], found[9])
  return {CODE.OK}
elseif A.op == 'CHAT_ROOM_UPDATE' then
  enqueue(A.op, 'title', found[3], 'persona', found[4], 'version', found[6], 'at', A.now,
    'metadata', found[10] or '')
  return {CODE.OK}
elseif A.op == 'CHAT_ROOM_DELETE' then
  enqueue(A.op, 'at', A.now)
  return {CODE.OK}
end
local last, count, active = found[7], found[8], found[9] ~= '' and found[9] or A.now
local about = redis.call('HMGET', K.states, 's:' .. A.seq, 'm:' .. A.seq)
local doc = redis.call('HGET', K.messages, 'd:' .. A.seq)
if not about[1] or about[2] ~= A.message then
  return {CODE.NO_MESSAGE}
end
if A.op == 'COUNTERS' then
  return {tell_counters(last, count, active) and CODE.OK or CODE.NO_MESSAGE}
elseif about[1] == 'DELETING' or about[1] == 'DELETED' then
  redis.call('HSET', K.states, 'x:' .. A.seq, '1')
  enqueue('CHAT_MESSAGE_DELETE', 'seq', A.seq, 'message', A.message, 'last', last, 'active', active, 'count', count,
    'at', A.now, 'doc', doc or '')
elseif doc then
  enqueue(A.op, 'seq', A.seq, 'message', A.message, 'final', about[1] == 'COMPOSING' and '0' or '1', 'doc', doc,
    'last', last, 'count', count, 'active', active, 'at', A.now)
else
  return {CODE.NO_MESSAGE}
end
return {CODE.OK}
