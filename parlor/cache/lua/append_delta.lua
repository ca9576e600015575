-- What: a piece of a reply, of its text or of its reasoning, into the event log and behind the reply's draft.
-- KEYS: partition generating room draft events
-- ARGV: room claim now message attempt at length text event index offset layout ended lease_until event_ttl event_max
--       at, length and offset count characters: at, where the piece begins in the draft; offset, in its own kind;
--       event is message.delta or message.reasoning, index its part's; layout is what the draft's parts are from here
--       on, '' if that is as before; ended is the part before, whole, if it has just ended, else ''
-- Returns: OK | DUPLICATE | PARTITION_UNKNOWN | MISSING | GONE | FENCED | ILLEGAL (another attempt is live)
-- Guarantees: the live attempt's pieces are contiguous from 0; the draft is all of them joined.
-- Safe to repeat because: a piece that begins before the end of what is there is not added again, nor is an empty one.
--@include require_room
--@include emit
local refused = require_room()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'live', 'live_length')
if found[1] ~= A.message .. ':' .. A.attempt or tonumber(A.at) > tonumber(found[2]) then
  return {CODE.ILLEGAL}
end
if tonumber(A.at) < tonumber(found[2]) or A.text == '' then
  return {CODE.DUPLICATE}
end
redis.call('HSET', K.room, 'live_length', tonumber(A.at) + tonumber(A.length))
redis.call('APPEND', K.draft, A.text)
redis.call('ZADD', K.generating, A.lease_until, A.room)
if A.layout ~= '' then
  redis.call('HSET', K.room, 'live_layout', A.layout)
end
if A.ended ~= '' then
  emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt,
    'index', tonumber(A.index) - 1, 'part', A.ended)
end
emit(K.events, K.room, 'type', A.event, 'message', A.message, 'attempt', A.attempt, 'index', A.index,
  'offset', A.offset, 'text', A.text)
return {CODE.OK}
