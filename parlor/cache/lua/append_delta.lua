-- What: a piece of a reply's text, into the event log and behind the reply's draft.
-- KEYS: partition generating room draft events
-- ARGV: room claim now message attempt offset length text lease_until event_ttl event_max
--       offset and length count characters
-- Returns: OK | DUPLICATE | PARTITION_UNKNOWN | MISSING | GONE | FENCED | ILLEGAL (another attempt is live)
-- Guarantees: the live attempt's deltas are contiguous from offset 0; the draft is all of them joined.
-- Safe to repeat because: a piece that begins before the end of what is there is not added again, nor is an empty one.
--@include require_room
--@include emit
local refused = require_room()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'live', 'live_length')
if found[1] ~= A.message .. ':' .. A.attempt or tonumber(A.offset) > tonumber(found[2]) then
  return {CODE.ILLEGAL}
end
if tonumber(A.offset) < tonumber(found[2]) or A.text == '' then
  return {CODE.DUPLICATE}
end
redis.call('HSET', K.room, 'live_length', tonumber(A.offset) + tonumber(A.length))
redis.call('APPEND', K.draft, A.text)
redis.call('ZADD', K.generating, A.lease_until, A.room)
emit(K.events, K.room, 'type', 'message.delta', 'message', A.message, 'attempt', A.attempt, 'offset', A.offset,
  'text', A.text)
return {CODE.OK}
