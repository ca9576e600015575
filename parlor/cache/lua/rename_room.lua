-- What: a new title by the room's owner, here at once, in the shard through the queue.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key claim now title event_ttl event_max *flags
--       flags: only_untitled, or none: a room that has a title keeps it
-- Returns: OK | DUPLICATE (it has this title, or keeps its own) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: titles have versions; the shard keeps the highest.
-- Safe to repeat because: the title that the room has changes nothing.
--@include require_room
--@include retitle
local refused = require_room()
if refused then
  return {refused}
end
return retitle(REST[1] == 'only_untitled')
