-- What: what came of a call of a tool is known after its reply has ended without it: the reply says it from now on.
-- KEYS: partition queue generating room messages states open events account rooms
-- ARGV: room owner db_key request claim now message seq attempt past_version version doc index part before_input
--       before_output lease_until event_ttl event_max
--       past_version is that of what the reply says now, version that of `doc`; before_... are the tokens in `doc`:
--       they are counted
-- Returns: OK | DUPLICATE (it says so already) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | ILLEGAL, state (deleted, begun anew, or too far back) | OUT_OF_STEP (it says something else by now)
-- Guarantees: a call has one outcome, the same for readers of events, pages and the shard.
-- Safe to repeat because: the version of what the reply says is higher then.
--@include require_room
--@include emit
--@include enqueue
--@include reopen
local refused = require_room()
if refused then
  return {refused}
end
local state = redis.call('HGET', K.states, 's:' .. A.seq)
local said = redis.call('HGET', K.messages, 'd:' .. A.seq)
if not state or not said or state == 'COMPOSING' or state == 'DELETING' or state == 'DELETED' then
  return {CODE.ILLEGAL, state or ''}
end
local known = cjson.decode(said)
if known.message_id ~= A.message or (known.version or 1) ~= tonumber(A.past_version) then
  return {(known.version or 1) == tonumber(A.version) and CODE.DUPLICATE or CODE.OUT_OF_STEP}
end
restate(A.seq, 'PENDING', 'room', A.version)
redis.call('HSET', K.messages, 'd:' .. A.seq, A.doc)
local room = redis.call('HMGET', K.room, 'seq', 'count')
enqueue('CHAT_MESSAGE_SAVE', 'seq', A.seq, 'message', A.message, 'final', '1', 'recount', '1', 'doc', A.doc,
  'last', room[1], 'count', room[2], 'at', A.now, 'before_input', A.before_input, 'before_output', A.before_output)
emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt, 'index', A.index,
  'part', A.part)
return {CODE.OK}
