-- What: the smart delete: what happens to a message depends on how far it has come.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key claim now by message seq stored tombstone event_ttl event_max
--       stored is '1' when the shard has the message, which tells the state when Redis has forgotten it
-- Returns: OK, state, outcome (cancelled | deleting | stopped_and_deleted) | DUPLICATE, state
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | NO_MESSAGE
-- Guarantees: final (I10): a queued save is skipped or buried by the delete behind it; a late end of a reply is
--       refused.
-- Safe to repeat because: a message that is going is left alone.
--@include require_room
--@include emit
--@include enqueue
--@include transition
--@include drop_live
local refused = require_room()
if refused then
  return {refused}
end
local state = redis.call('HGET', K.states, 's:' .. A.seq)
if not state then
  if A.stored ~= '1' then
    return {CODE.NO_MESSAGE}
  end
  state = 'SENT'
  redis.call('HSET', K.states, 's:' .. A.seq, state, 'i:' .. A.message, A.seq,
    'm:' .. A.seq, A.message)
end
local outcome
if state == 'COMPOSING' then
  outcome = 'stopped_and_deleted'
  move_message(A.seq, 'DELETED', A.by)
  redis.call('ZREM', K.open, A.message)
  drop_live(A.message)
  if redis.call('ZCARD', K.open) == 0 then
    redis.call('ZREM', K.generating, A.room)
  end
elseif state == 'PENDING' then
  outcome = 'cancelled'
  move_message(A.seq, 'DELETED', A.by)
elseif state == 'PROCESSING' or state == 'SENT' then
  outcome = 'deleting'
  move_message(A.seq, 'DELETING', A.by)
else
  return {CODE.DUPLICATE, state}
end
local now_is = redis.call('HGET', K.states, 's:' .. A.seq)
-- Until the shard has the tombstone, this place is not stored, whatever its state.
redis.call('HSET', K.states, 'x:' .. A.seq, '1')
redis.call('HSET', K.messages, 'd:' .. A.seq, A.tombstone)
local count = redis.call('HINCRBY', K.room, 'count', -1)
local room = redis.call('HMGET', K.room, 'seq', 'active')
enqueue('CHAT_MESSAGE_DELETE', 'seq', A.seq, 'message', A.message, 'last', room[1], 'active', room[2],
  'count', count, 'at', A.now)
emit(K.events, K.room, 'type', 'message.deleted', 'message', A.message, 'seq', A.seq, 'state', now_is)
emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
return {CODE.OK, now_is, outcome}
