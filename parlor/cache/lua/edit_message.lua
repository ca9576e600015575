-- What: new content for a person's message; the reply to it begins anew, unless it has not begun yet.
-- KEYS: partition queue generating room messages states open events account rooms account_events reserving
--       idempotency
-- ARGV: room owner db_key request claim now message seq nonce waits past past_version doc version reply reply_seq
--       reply_past reply_past_version reply_doc reply_needed fingerprint idempotency_ttl backlog_limit lease_until
--       budget event_ttl event_max
--       waits is '1' for a message that no reply has read yet; reply is '' when there is none to begin anew; past and
--       reply_past are the two as they are now, version is that of `doc`
-- Returns: OK | DUPLICATE, then the nonce that did it (this one, or the first with the idempotency key) and the
--          cursor (the last event before the edit's)
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | IDEMPOTENCY | ILLEGAL, state (deleted, or not the last)
--          | BUSY (a reply that has read it is being written) | OUT_OF_STEP (one of them does not say `past` now)
--          | OVERLOADED | UNCOUNTED | QUOTA as append_turn
-- Guarantees: message and reply change together; what both said is in their versions, here and in the queue.
-- Safe to repeat because: the nonce is kept with the message, and with the idempotency key.
--@include require_room
--@include emit
--@include enqueue
--@include reopen
--@include last_of_room
--@include drop_summary
--@include drop_stand_in
--@include idempotency
--@include budget
local refused = require_room()
if refused then
  return {refused}
end
local known = answered('nonce', 'cursor')
if known then
  return known
end
local found = redis.call('HMGET', K.states, 's:' .. A.seq, 'n:' .. A.seq)
local nonce, cursor = string.match(found[2] or '', '^(%S+) (%S+)$')
if nonce == A.nonce then
  return {CODE.DUPLICATE, A.nonce, cursor}
end
if not found[1] or found[1] == 'DELETING' or found[1] == 'DELETED' then
  return {CODE.ILLEGAL, found[1] or ''}
end
local about = redis.call('HMGET', K.room, 'live', 'event')
local live = string.match(about[1] or '', '^[^:]+')
if A.waits == '1' then
  if live and tonumber(redis.call('HGET', K.states, 'i:' .. live)) > tonumber(A.seq) then
    return {CODE.BUSY}
  end
else
  if not last_of_room(A.reply ~= '' and A.reply_seq or A.seq) then
    return {CODE.ILLEGAL, found[1]}
  end
  local state = A.reply ~= '' and redis.call('HGET', K.states, 's:' .. A.reply_seq)
  if state == 'COMPOSING' then
    return {CODE.BUSY}
  elseif state == nil or state == 'DELETING' or state == 'DELETED' then
    return {CODE.OUT_OF_STEP}
  end
end
local function says(seq, version)
  local doc = redis.call('HGET', K.messages, 'd:' .. seq)
  return not doc or (cjson.decode(doc).version or 1) == tonumber(version)
end
if not says(A.seq, A.past_version) or (A.reply ~= '' and not says(A.reply_seq, A.reply_past_version)) then
  return {CODE.OUT_OF_STEP}
end
if redis.call('XLEN', K.queue) >= tonumber(A.backlog_limit) then
  return {CODE.OVERLOADED}
end
local asked, over
if A.reply ~= '' then
  asked, over = check_budget(A.reply)
  if over then
    return over
  end
end

redis.call('HSET', K.states, 'n:' .. A.seq, A.nonce .. ' ' .. about[2])
restate(A.seq, 'PENDING', 'room', A.version)
keep_version(A.seq, A.past)
redis.call('HSET', K.messages, 'd:' .. A.seq, A.doc)
local room = redis.call('HMGET', K.room, 'seq', 'count')
enqueue('CHAT_MESSAGE_SAVE', 'seq', A.seq, 'message', A.message, 'final', '1', 'recount', '1', 'doc', A.doc,
  'past', A.past, 'last', room[1], 'count', room[2], 'at', A.now)
emit(K.events, K.room, 'type', 'message.updated', 'message', A.message, 'seq', A.seq, 'state', 'PENDING', 'doc', A.doc)
drop_summary(tonumber(A.seq))
drop_stand_in(A.seq)
if A.reply ~= '' then
  reopen(A.reply_seq, A.reply, A.reply_doc, A.reply_past, A.reply_needed)
  hold_budget(A.reply, A.room, 0, asked)
  emit(K.events, K.room, 'type', 'message.updated', 'message', A.reply, 'seq', A.reply_seq, 'state', 'COMPOSING',
    'doc', A.reply_doc)
end
remember('nonce', A.nonce, 'cursor', about[2])
return {CODE.OK, A.nonce, about[2]}
