-- What: the smart delete by a caller that does not own the room.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key request now by message seq stored tombstone event_ttl event_max
--       stored is '1' when the shard has the message, which tells the state when Redis has forgotten it
-- Returns: OK, state, outcome (cancelled | deleting | stopped_and_deleted) | DUPLICATE, state
--          | PARTITION_UNKNOWN | MISSING | GONE | NO_MESSAGE
-- Guarantees: final (I10), see drop_message. It needs no claim because a delete never moves seq, and what the owner
--       writes about the message afterwards is refused by the message's state.
-- Safe to repeat because: a message that is going is left alone.
--@include require_room_alive
--@include smart_delete
local refused = require_room_alive()
if refused then
  return {refused}
end
return smart_delete()
