-- What: a caller that does not own the room deletes it: gone for everybody at once, the shard's soft delete is queued.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key request now by event_ttl event_max
-- Returns: OK | DUPLICATE (it is going or gone) | PARTITION_UNKNOWN | MISSING | ILLEGAL, state
-- Guarantees: final; a tombstone stays here until the shard knows, and a day longer. The claim ends with the room: its
--       owner writes nothing afterwards.
-- Safe to repeat because: a room that is going is left alone.
--@include require_room_alive
--@include drop_room
return drop_room((require_room_alive()))
