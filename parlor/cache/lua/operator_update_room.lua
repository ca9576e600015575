-- What: a new title, persona or metadata by a caller that does not own the room, here at once, in the shard through
--       the queue.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key request now title persona metadata event_ttl event_max
--       title, persona and metadata are '' for what the room has
-- Returns: OK | DUPLICATE (it is like this already) | PARTITION_UNKNOWN | MISSING | GONE
-- Guarantees: what a room is called, who answers in it and what is noted of it have versions, also beside an owner that
--       changes them; the shard keeps the highest.
-- Safe to repeat because: what the room has already changes nothing.
--@include require_room_alive
--@include describe
local refused = require_room_alive()
if refused then
  return {refused}
end
return describe(given(A.title), given(A.persona), given(A.metadata))
