-- What: the smart delete: what happens to a message depends on how far it has come.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key claim now by message seq stored tombstone event_ttl event_max
--       stored is '1' when the shard has the message, which tells the state when Redis has forgotten it
-- Returns: OK, state, outcome (cancelled | deleting | stopped_and_deleted) | DUPLICATE, state
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | NO_MESSAGE
-- Guarantees: final (I10), see drop_message.
-- Safe to repeat because: a message that is going is left alone.
--@include require_room
--@include emit
--@include drop_message
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
if state == 'DELETING' or state == 'DELETED' then
  return {CODE.DUPLICATE, state}
end
local outcome, now_is = drop_message(A.seq, A.message, A.tombstone, A.by)
emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
return {CODE.OK, now_is, outcome}
