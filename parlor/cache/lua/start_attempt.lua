-- What: begins a run of the LLM for a reserved reply; from the second on, readers are told to forget the text so far.
-- KEYS: partition generating room states events
-- ARGV: room claim now message seq attempt lease_until event_ttl event_max
-- Returns: OK | PARTITION_UNKNOWN | MISSING | GONE | FENCED | ILLEGAL, state
-- Guarantees: a room has one live attempt; deltas of any other are refused.
-- Safe to repeat because: an attempt that is live already is left as it is.
--@include require_room
--@include emit
local refused = require_room()
if refused then
  return {refused}
end
local state = redis.call('HGET', K.states, 's:' .. A.seq)
if state ~= 'COMPOSING' then
  return {CODE.ILLEGAL, state or ''}
end
local live = A.message .. ':' .. A.attempt
if redis.call('HGET', K.room, 'live') == live then
  return {CODE.OK}
end
redis.call('HSET', K.room, 'live', live, 'live_length', 0)
redis.call('ZADD', K.generating, A.lease_until, A.room)
if tonumber(A.attempt) > 1 then
  emit(K.events, K.room, 'type', 'message.reset', 'message', A.message, 'attempt', A.attempt)
end
redis.call('HSET', K.room, 'live_from', redis.call('HGET', K.room, 'event'))
return {CODE.OK}
