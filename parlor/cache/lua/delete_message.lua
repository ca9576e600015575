-- What: the smart delete by the room's owner: what happens to a message depends on how far it has come.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key request claim now by message seq stored tombstone event_ttl event_max
--       stored is '1' when the shard has the message, which tells the state when Redis has forgotten it
-- Returns: OK, state, outcome (cancelled | deleting | stopped_and_deleted) | DUPLICATE, state
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | NO_MESSAGE
-- Guarantees: final (I10), see drop_message.
-- Safe to repeat because: a message that is going is left alone.
--@include require_room
--@include smart_delete
local refused = require_room()
if refused then
  return {refused}
end
return smart_delete()
