-- What: a new attempt of the room's last reply: its slot is opened again, its text is kept as a version.
-- KEYS: partition queue generating room messages states open events account rooms reserving
--       idempotency
-- ARGV: room owner db_key request claim now message seq nonce past past_version doc needed fingerprint idempotency_ttl
--       backlog_limit lease_until budget event_ttl event_max
--       past is the reply as it is now, doc the row that reserves its slot; needed is the version that `doc`'s attempt
--       ends with
-- Returns: OK | DUPLICATE, then the nonce that did it (this one, or the first with the idempotency key)
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | IDEMPOTENCY
--          | ILLEGAL, state (deleted, or not the last) | BUSY (being written) | OUT_OF_STEP (`past` is not what it says
--          now) | OVERLOADED
--          | UNCOUNTED | QUOTA as append_turn
-- Guarantees: no attempt is lost: what the reply said is in its versions, here and in the queue.
-- Safe to repeat because: the nonce is kept with the message, and with the idempotency key.
--@include require_room
--@include emit
--@include reopen
--@include last_of_room
--@include idempotency
--@include budget
local refused = require_room()
if refused then
  return {refused}
end
local known = answered('nonce')
if known then
  return known
end
local found = redis.call('HMGET', K.states, 's:' .. A.seq, 'n:' .. A.seq)
if string.match(found[2] or '', '^%S+') == A.nonce then
  return {CODE.DUPLICATE, A.nonce}
end
if not found[1] or found[1] == 'DELETING' or found[1] == 'DELETED' then
  return {CODE.ILLEGAL, found[1] or ''}
end
if found[1] == 'COMPOSING' then
  return {CODE.BUSY}
end
if not last_of_room(A.seq) then
  return {CODE.ILLEGAL, found[1]}
end
local now_says = redis.call('HGET', K.messages, 'd:' .. A.seq)
if now_says and (cjson.decode(now_says).version or 1) ~= tonumber(A.past_version) then
  return {CODE.OUT_OF_STEP}
end
if redis.call('XLEN', K.queue) >= tonumber(A.backlog_limit) then
  return {CODE.OVERLOADED}
end
local asked, over = check_budget(A.message)
if over then
  return over
end
redis.call('HSET', K.states, 'n:' .. A.seq, A.nonce)
reopen(A.seq, A.message, A.doc, A.past, A.needed)
hold_budget(A.message, A.room, 0, asked)
emit(K.events, K.room, 'type', 'message.updated', 'message', A.message, 'seq', A.seq, 'state', 'COMPOSING',
  'doc', A.doc)
remember('nonce', A.nonce)
return {CODE.OK, A.nonce}
