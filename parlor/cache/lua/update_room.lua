-- What: a new title, persona or metadata by the room's owner, here at once, in the shard through the queue.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key request claim now title persona metadata event_ttl event_max
--       title, persona and metadata are '' for what the room has
-- Returns: OK | DUPLICATE (it is like this already) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: what a room is called, who answers in it and what is noted of it have versions; the shard keeps the
--       highest.
-- Safe to repeat because: what the room has already changes nothing.
--@include require_room
--@include describe
local refused = require_room()
if refused then
  return {refused}
end
if given(A.title) then
  -- Who gives the title that stands in for one wants it to stay.
  redis.call('HDEL', K.room, 'stand_in', 'quotes')
end
return describe(given(A.title), given(A.persona), given(A.metadata))
