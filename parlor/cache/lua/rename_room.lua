-- What: a new title, here at once, in the shard through the queue.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key claim now title event_ttl event_max *flags
--       flags: only_untitled, or none: a room that has a title keeps it
-- Returns: OK | DUPLICATE (it has this title, or keeps its own) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: titles have versions; the shard keeps the highest.
-- Safe to repeat because: the title that the room has changes nothing.
--@include require_room
--@include emit
--@include enqueue
local refused = require_room()
if refused then
  return {refused}
end
local title = redis.call('HGET', K.room, 'title')
if title == A.title or (REST[1] == 'only_untitled' and title ~= '') then
  return {CODE.DUPLICATE}
end
redis.call('HSET', K.room, 'title', A.title)
local version = redis.call('HINCRBY', K.room, 'version', 1)
enqueue('CHAT_ROOM_UPDATE', 'title', A.title, 'version', version, 'at', A.now)
emit(K.events, K.room, 'type', 'room.updated', 'room', A.room)
emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
return {CODE.OK}
