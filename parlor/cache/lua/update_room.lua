-- What: a new title or persona by the room's owner, here at once, in the shard through the queue.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key claim now title persona event_ttl event_max *flags
--       title and persona are '' for what the room has; flags: only_untitled, or none: a room that has a title is left
--       as it is
-- Returns: OK | DUPLICATE (it is like this already, or is left as it is) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: what a room is called and who answers in it have versions; the shard keeps the highest.
-- Safe to repeat because: what the room has already changes nothing.
--@include require_room
--@include describe
local refused = require_room()
if refused then
  return {refused}
end
if REST[1] == 'only_untitled' and redis.call('HGET', K.room, 'title') ~= '' then
  return {CODE.DUPLICATE}
end
return describe(A.title, A.persona)
