-- What: the owner deletes its room: it is gone for everybody at once, and the shard's soft delete is queued.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key request claim now by event_ttl event_max
-- Returns: OK | DUPLICATE (it is going or gone) | PARTITION_UNKNOWN | MISSING | FENCED | ILLEGAL, state
-- Guarantees: final; a tombstone stays here until the shard knows, and a day longer.
-- Safe to repeat because: a room that is going is left alone.
--@include require_room
--@include drop_room
return drop_room(require_room())
