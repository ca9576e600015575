-- What: a new title by a caller that does not own the room, here at once, in the shard through the queue.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key now title event_ttl event_max
-- Returns: OK | DUPLICATE (it has this title) | PARTITION_UNKNOWN | MISSING | GONE
-- Guarantees: titles have versions, also beside an owner that renames the room; the shard keeps the highest.
-- Safe to repeat because: the title that the room has changes nothing.
--@include require_room_alive
--@include retitle
local refused = require_room_alive()
if refused then
  return {refused}
end
return retitle(false)
