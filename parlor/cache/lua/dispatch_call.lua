-- What: a call is about to be sent: the owner may send it, with this key.
-- KEYS: partition queue generating room messages states events account rooms
-- ARGV: room owner db_key request claim now message seq attempt number index part layout call digest key nonce again
--       version doc lease_until event_ttl event_max
--       number, index, part and layout are as record_part's; key is what the tool is sent as Idempotency-Key, nonce
--       names this dispatch; again is '1' for a tool that may be called twice; version and doc are the row that keeps
--       the reply's slot, for a tool that may not: it is sent once the shard has the row; both '' otherwise
-- Returns: OK | DUPLICATE (by the same nonce) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | ILLEGAL, state (another attempt is live, or the call may not be sent)
-- Guarantees: what is sent was approved, if it had to be, with the digest that was approved; a call has one key; one
--       that may not be called twice has one dispatch.
-- Safe to repeat because: the same nonce again finds itself.
--@include require_room
--@include emit
--@include enqueue
--@include calls
local refused = require_room()
if refused then
  return {refused}
end
if redis.call('HGET', K.room, 'live') ~= A.message .. ':' .. A.attempt then
  return {CODE.ILLEGAL, ''}
end
local call = call_of(A.call)
if call and call.nonce == A.nonce then
  return {CODE.DUPLICATE}
end
local again = call and call.state == 'running' and A.again == '1'
if not call or call.digest ~= A.digest or (call.key ~= '-' and call.key ~= A.key)
  or not (again or call.state == 'approved') then
  return {CODE.ILLEGAL, call and call.state or ''}
end
if A.doc ~= '' then
  if tonumber(A.version) < tonumber(redis.call('HGET', K.states, 'v:' .. A.seq) or '0') then
    return {CODE.ILLEGAL, call.state}
  end
  redis.call('HSET', K.states, 'v:' .. A.seq, A.version + 1)
  redis.call('HSET', K.messages, 'd:' .. A.seq, A.doc)
  local room = redis.call('HMGET', K.room, 'seq', 'count')
  enqueue('CHAT_MESSAGE_SAVE', 'seq', A.seq, 'message', A.message, 'final', '0', 'doc', A.doc, 'last', room[1],
    'count', room[2], 'at', A.now, 'urgent', '1')
end
put_call(A.seq, A.call, {state = 'running', digest = A.digest, key = A.key, nonce = A.nonce, request = call.request})
redis.call('HSET', K.room, 'live_changes', A.number, 'live_layout', A.layout, 'live_since', A.attempt)
redis.call('ZADD', K.generating, A.lease_until, A.room)
emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt, 'index', A.index,
  'part', A.part)
return {CODE.OK}
