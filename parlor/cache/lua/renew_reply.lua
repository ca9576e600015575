-- What: a sign of life for a room with replies in progress or waiting, so that no sweeper takes them up.
-- KEYS: partition generating room open events
-- ARGV: room claim lease_until event_ttl
-- Returns: OK | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: the event log of a reply that is silent does not expire; a room without open replies is not listed again,
--       whichever of this and the reply's end comes first.
-- Safe to repeat because: it only moves two deadlines.
--@include require_room
--@include parked
local refused = require_room()
if refused then
  return {refused}
end
if redis.call('ZCARD', K.open) > 0 then
  needs_owner()
end
redis.call('PEXPIRE', K.events, A.event_ttl)
return {CODE.OK}
