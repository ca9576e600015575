-- What: the room is gone for everybody at once; the shard's soft delete is queued.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key claim now by event_ttl event_max
-- Returns: OK | DUPLICATE (it is going or gone) | PARTITION_UNKNOWN | MISSING | FENCED | ILLEGAL, state
-- Guarantees: final; a tombstone stays here until the shard knows, and a day longer.
-- Safe to repeat because: a room that is going is left alone.
--@include require_room
--@include emit
--@include enqueue
--@include transition
local refused = require_room()
if refused == CODE.GONE then
  return {CODE.DUPLICATE}
elseif refused then
  return {refused}
end
local moved, state = move_room('DELETING', A.by)
if not moved then
  return {CODE.ILLEGAL, state}
end
redis.call('HSET', K.room, 'claim', '')
redis.call('HDEL', K.room, 'live', 'live_length')
redis.call('ZREM', K.generating, A.room)
redis.call('DEL', K.messages, K.states, K.open, K.draft)
redis.call('ZREM', K.rooms, A.room)
enqueue('CHAT_ROOM_DELETE', 'at', A.now)
emit(K.events, K.room, 'type', 'room.deleted', 'room', A.room)
emit(K.account_events, K.account, 'type', 'room.deleted', 'room', A.room)
return {CODE.OK}
