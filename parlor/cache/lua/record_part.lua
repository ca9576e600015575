-- What: a call of a tool that appeared or changed in a reply that is being written: a step that its next owner takes
--       over.
-- KEYS: partition generating room states events
-- ARGV: room claim now message seq attempt number index part layout ended call state digest lease_until event_ttl
--       event_max
--       number counts the attempt's changes from 1; part is the whole part; layout is what the draft's parts are now;
--       ended is the reasoning before the part, whole, if it has just ended, else '';
--       call, state and digest are the part's
-- Returns: OK | DUPLICATE | PARTITION_UNKNOWN | MISSING | GONE | FENCED | ILLEGAL (another attempt is live, or the
--          call does not come to this state from where it is)
-- Guarantees: changes are recorded in their order, each once; the attempt that recorded the last one is remembered.
-- Safe to repeat because: a change whose number is not above the last one's is not recorded again.
--@include require_room
--@include emit
--@include calls
local refused = require_room()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'live', 'live_changes')
if found[1] ~= A.message .. ':' .. A.attempt then
  return {CODE.ILLEGAL}
end
if tonumber(A.number) <= tonumber(found[2] or '0') then
  return {CODE.DUPLICATE}
end
local call = call_of(A.call)
if not may_become(call, A.state) or (call and call.digest ~= A.digest) then
  return {CODE.ILLEGAL}
end
call = call or {digest = A.digest}
call.state = A.state
put_call(A.seq, A.call, call)
redis.call('HSET', K.room, 'live_changes', A.number, 'live_layout', A.layout, 'live_since', A.attempt)
redis.call('ZADD', K.generating, A.lease_until, A.room)
if A.ended ~= '' then
  emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt,
    'index', tonumber(A.index) - 1, 'part', A.ended)
end
emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt, 'index', A.index,
  'part', A.part)
return {CODE.OK}
