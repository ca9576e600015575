-- What: what becomes of a call that waits: approved or denied, expired, or the result that its caller posts. When none
--       of the reply's calls waits any more, the reply needs an owner again, which goes on with it.
-- KEYS: partition queue generating room messages states events account rooms account_events
-- ARGV: room owner db_key request claim now message seq attempt call digest to by_then decision new_digest version
--       doc index part still_waits remember lease_until event_ttl event_max
--       digest is the one that the decision names; to is the state, by_then the one on the way to it ('' for none);
--       decision tells the request that made it from others, '-' for the sweep's; new_digest is that of the
--       arguments as they are edited, or the same; version is that of `doc`, the row that keeps the reply's slot;
--       still_waits is '1' while another call waits; remember is '1' when the same call need not be approved again
--       in this room
-- Returns: OK | DUPLICATE (the same decision was made) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | NO_MESSAGE (no such call waits: the reply has ended)
--          | DECIDED, state | DIGEST, the call's | OUT_OF_STEP (the reply's row is another by now)
-- Guarantees: of decisions, results, expiry, stop and deletion one becomes the call's outcome; a decision is about the
--       arguments that it names.
-- Safe to repeat because: the request is kept with the call.
--@include require_room
--@include emit
--@include enqueue
--@include calls
--@include parked
local refused = require_room()
if refused then
  return {refused}
end
local call = call_of(A.call)
local waits, deadline = parked()
if not call then
  return {CODE.NO_MESSAGE}
end
if call.request == A.decision and (call.request ~= '-' or call.state == A.to) then
  return {CODE.DUPLICATE}
end
local first = A.by_then ~= '' and A.by_then or A.to
if not may_become(call, first) or (A.by_then ~= '' and not is_legal('call', A.by_then, A.to)) then
  return {CODE.DECIDED, call.state}
end
if A.digest ~= call.digest then
  return {CODE.DIGEST, call.digest}
end
if waits ~= A.message or tonumber(A.version) ~= tonumber(redis.call('HGET', K.states, 'v:' .. A.seq)) + 1 then
  return {CODE.OUT_OF_STEP}
end
local over = tonumber(A.now) >= tonumber(deadline)
if over ~= (A.decision == '-') then
  return {CODE.DECIDED, over and 'expired' or call.state}
end
put_call(A.seq, A.call, {state = A.to, digest = A.new_digest, key = call.key, nonce = call.nonce, request = A.decision})
redis.call('HSET', K.states, 'v:' .. A.seq, A.version + 1)
redis.call('HSET', K.messages, 'd:' .. A.seq, A.doc)
if A.remember == '1' then
  redis.call('HSET', K.room, 'ok:' .. A.new_digest, A.now)
end
if A.still_waits ~= '1' then
  unpark(A.message)
  needs_owner()
end
local room = redis.call('HMGET', K.room, 'seq', 'count')
enqueue('CHAT_MESSAGE_SAVE', 'seq', A.seq, 'message', A.message, 'final', '0', 'doc', A.doc, 'last', room[1],
  'count', room[2], 'at', A.now, 'urgent', '1')
emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt, 'index', A.index,
  'part', A.part)
if call.state == 'waiting' then
  emit(K.account_events, K.account, 'type', 'approval.decided', 'room', A.room, 'message', A.message, 'part', A.part)
end
return {CODE.OK}
