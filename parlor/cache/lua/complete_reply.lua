-- What: the end of a reply: its final text, COMPOSING to PENDING, queued, told to its readers.
-- KEYS: partition queue generating room messages states open draft events account rooms account_events
-- ARGV: room owner db_key request claim now message seq version doc event lease_until input output cost had
--       before_input before_output event_ttl event_max *withdrawn
--       input, output and cost are what the attempt used; had is the tokens of text of one whose owner died, or '';
--       before_... is what of the tokens in `doc` was counted when the reply was parked;
--       withdrawn: the parts whose calls waited for people until now;
--       version is that of `doc`; event is message.completed, message.stopped or message.failed
-- Returns: OK | DUPLICATE (it had ended, or a later attempt was asked for) | PARTITION_UNKNOWN | MISSING | GONE
--          | FENCED | ILLEGAL, state (deleted)
-- Guarantees: a reply ends once (I14), and what was reserved for it is settled (I23).
-- Safe to repeat because: a reply that is not open any more is left alone.
--@include require_room
--@include emit
--@include enqueue
--@include transition
--@include touch_list
--@include drop_live
--@include settle
--@include calls
--@include parked
local refused = require_room()
if refused then
  return {refused}
end
local about = redis.call('HMGET', K.states, 's:' .. A.seq, 'v:' .. A.seq)
local state = about[1]
if state == 'DELETED' or state == 'DELETING' then
  return {CODE.ILLEGAL, state}
end
if tonumber(A.version) < tonumber(about[2] or '0') or redis.call('ZREM', K.open, A.message) == 0 then
  return {CODE.DUPLICATE}
end
if A.had ~= '' then
  charge_cut_off(A.message, A.had)
end
local since = settle(A.message, A.input, A.output, A.cost)
move_message(A.seq, 'PENDING', 'room')
redis.call('HSET', K.messages, 'd:' .. A.seq, A.doc)
drop_live(A.message)
forget_calls(A.seq)
redis.call('HSET', K.room, 'active', A.now)
if redis.call('ZCARD', K.open) == 0 then
  redis.call('ZREM', K.generating, A.room)
else
  needs_owner()
end
local found = redis.call('HMGET', K.room, 'seq', 'count')
local queued = enqueue('CHAT_MESSAGE_SAVE', 'seq', A.seq, 'message', A.message, 'final', '1', 'doc', A.doc,
  'recount', tonumber(about[2] or '0') > 1 and '1' or '', 'last', found[1], 'count', found[2], 'at', A.now,
  'cost', A.cost, 'since', since, 'before_input', A.before_input, 'before_output', A.before_output)
if A.input + A.output + A.cost > 0 then
  charged(queued)
end
emit(K.events, K.room, 'type', A.event, 'message', A.message, 'seq', A.seq, 'state', 'PENDING', 'doc', A.doc)
for _, part in ipairs(REST) do
  emit(K.account_events, K.account, 'type', 'approval.decided', 'room', A.room, 'message', A.message, 'part', part)
end
touch_list(A.now)
emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
return {CODE.OK}
