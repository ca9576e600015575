-- What: a user's message and the reply reserved for it, appended together: seq, cache, states, queue, events.
-- KEYS: partition queue generating room messages states open draft events idempotency account rooms account_events
--       reserving
-- ARGV: room owner db_key request claim expected_seq now message doc reply reply_doc fingerprint idempotency_ttl strict
--       stays urgent backlog_limit waiting_limit lease_until budget event_ttl event_max *unwanted
--       reply is '' for none, fingerprint is '' for no idempotency key, urgent is '1' when the sender waits for the
--       commit; unwanted: what makes way for this turn (seq, message id, tombstone, and the reply that must still be
--       open for it to go); strict is '1' when no other reply may be open then, but those of the list `stays`;
--       waiting_limit is how many replies may wait beside the one that is being written, '' for any number
-- Returns: OK | DUPLICATE, then seq, cursor (the last event before the turn's), message id, reply id or ''
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | NOT_ACTIVE | OUT_OF_STEP | BUSY | OVERLOADED | IDEMPOTENCY
--          | LIMIT | UNCOUNTED | QUOTA, which, '1' if it may be had once others have ended
-- Guarantees: seq is contiguous; the turn is in the cache, the states, the queue and the events, or in none of them;
--       what makes way goes in the same step; what the reply may use is reserved in it (I23).
-- Safe to repeat because: the idempotency key or the message's id is found, and the first answer is given again.
--@include require_room
--@include emit
--@include enqueue
--@include touch_list
--@include drop_message
--@include idempotency
--@include budget
--@include parked
local refused = require_room()
if refused then
  return {refused}
end
local known = answered('seq', 'cursor', 'message', 'reply')
if known then
  return known
end
local found = redis.call('HMGET', K.room, 'state', 'seq', 'event', 'count', 'turn')
local known_seq = redis.call('HGET', K.states, 'i:' .. A.message)
if known_seq then
  -- The caller did not hear the first answer; the turn's cursor is still in the room unless others came after it.
  local cursor = string.match(found[5] or '', '^' .. known_seq .. ':(.*)$') or found[3]
  return {CODE.DUPLICATE, tonumber(known_seq), cursor, A.message, A.reply}
end
if not SENDABLE[found[1]] then
  return {CODE.NOT_ACTIVE}
end
if found[2] ~= A.expected_seq then
  return {CODE.OUT_OF_STEP}
end
if redis.call('XLEN', K.queue) >= tonumber(A.backlog_limit) then
  return {CODE.OVERLOADED}
end
-- What makes way leaves fewer replies than there were.
if A.reply ~= '' and #REST == 0 and A.waiting_limit ~= ''
  and redis.call('ZCARD', K.open) > tonumber(A.waiting_limit) then
  return {CODE.LIMIT}
end
if A.strict == '1' then
  local expected = {}
  for id in string.gmatch(A.stays, '%S+') do
    expected[id] = true
  end
  for i = 2, #REST, 4 do
    expected[REST[i]] = true
  end
  for _, reply in ipairs(redis.call('ZRANGE', K.open, 0, -1)) do
    if not expected[reply] then
      return {CODE.BUSY}
    end
  end
end

local asked
if A.reply ~= '' then
  asked, refused = check_budget(A.reply)
  if refused then
    return refused
  end
end

local going = {}
for i = 1, #REST, 4 do
  -- Looked at before the first one goes: a turn goes whole.
  local state = redis.call('HGET', K.states, 's:' .. REST[i])
  if state and state ~= 'DELETING' and state ~= 'DELETED' and redis.call('ZSCORE', K.open, REST[i + 3]) then
    going[#going + 1] = i
  end
end
for _, i in ipairs(going) do
  drop_message(REST[i], REST[i + 1], REST[i + 2], 'room')
end
local seq = tonumber(found[2]) + 1
local last = A.reply == '' and seq or seq + 1
local count = tonumber(found[4]) - #going + (last - seq) + 1
redis.call('HSET', K.room, 'seq', last, 'count', count, 'active', A.now, 'turn', seq .. ':' .. found[3])
redis.call('HSET', K.messages, 'd:' .. seq, A.doc)
redis.call('HSET', K.states, 's:' .. seq, 'PENDING', 'i:' .. A.message, seq, 'm:' .. seq, A.message,
  'l:' .. seq, A.now .. ',COMPOSING,PENDING,room;')
enqueue('CHAT_MESSAGE_SAVE', 'seq', seq, 'message', A.message, 'final', '1', 'doc', A.doc,
  'last', last, 'count', count, 'at', A.now, 'urgent', A.urgent)
emit(K.events, K.room, 'type', 'message.created', 'message', A.message, 'seq', seq, 'state', 'PENDING', 'doc', A.doc)
if A.reply ~= '' then
  redis.call('HSET', K.messages, 'd:' .. last, A.reply_doc)
  redis.call('HSET', K.states, 's:' .. last, 'COMPOSING', 'i:' .. A.reply, last, 'm:' .. last, A.reply)
  redis.call('ZADD', K.open, last, A.reply)
  hold_budget(A.reply, A.room, 0, asked)
  needs_owner()
  enqueue('CHAT_MESSAGE_SAVE', 'seq', last, 'message', A.reply, 'final', '0', 'doc', A.reply_doc,
    'last', last, 'count', count, 'at', A.now)
  emit(K.events, K.room, 'type', 'message.created', 'message', A.reply, 'seq', last, 'state', 'COMPOSING',
    'doc', A.reply_doc)
end
remember('seq', seq, 'cursor', found[3], 'message', A.message, 'reply', A.reply)
touch_list(A.now)
emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
return {CODE.OK, seq, found[3], A.message, A.reply}
