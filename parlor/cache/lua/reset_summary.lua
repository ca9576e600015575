-- What: forgets the room's summary; the next one is made from the messages.
-- KEYS: partition queue room messages states account rooms
-- ARGV: room owner db_key request claim now
-- Returns: OK | DUPLICATE (there is none) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: a summary that is made from this one meanwhile is refused.
-- Safe to repeat because: without a summary nothing changes.
--@include require_room
--@include enqueue
local refused = require_room()
if refused then
  return {refused}
end
if (redis.call('HGET', K.room, 'summary') or '') == '' then
  return {CODE.DUPLICATE}
end
redis.call('HDEL', K.room, 'summary')
local version = redis.call('HINCRBY', K.room, 'summary_version', 1)
enqueue('CHAT_ROOM_UPDATE', 'summary', '', 'through', 0, 'summary_version', version, 'at', A.now)
return {CODE.OK}
