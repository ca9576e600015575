-- What: a reply asked for calls that wait for people: the step is recorded, in the cache and for the shard, and the
--       reply is parked. It has no owner to be heard of and no reservation until it wakes.
-- KEYS: partition queue generating room messages states draft events account rooms account_events
-- ARGV: room owner db_key request claim now message seq attempt version doc deadline input output cost event_ttl
--       event_max *calls
--       version is that of `doc`, the row that keeps the reply's slot; deadline is when the calls expire, in ms; input,
--       output and cost are what was used since it began or woke; calls: index, id, digest, state and whole part of
--       each call of the step, id '' for reasoning that has just ended
-- Returns: OK | DUPLICATE (it is parked) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | ILLEGAL, state (another attempt is live, or the reply has ended)
-- Guarantees: a call can be decided once this has recorded it, and not before; what was reserved is settled (I23).
-- Safe to repeat because: the version of the reply's row is higher then.
--@include require_room
--@include emit
--@include enqueue
--@include drop_live
--@include settle
--@include calls
local refused = require_room()
if refused then
  return {refused}
end
local about = redis.call('HMGET', K.states, 's:' .. A.seq, 'v:' .. A.seq)
if about[1] ~= 'COMPOSING' then
  return {CODE.ILLEGAL, about[1] or ''}
end
if tonumber(A.version) < tonumber(about[2] or '0') then
  return {CODE.DUPLICATE}
end
if redis.call('HGET', K.room, 'live') ~= A.message .. ':' .. A.attempt then
  return {CODE.ILLEGAL, about[1]}
end
for i = 1, #REST, 5 do
  -- A call that its caller executes is sent by this, which tells it.
  if REST[i + 1] ~= '' and not may_become(nil, REST[i + 3] == 'running' and 'approved' or REST[i + 3]) then
    return {CODE.ILLEGAL, REST[i + 3]}
  end
end
local since = settle(A.message, A.input, A.output, A.cost)
if A.input + A.output + A.cost > 0 then
  charged(enqueue('CHAT_USAGE_ADD', 'input', A.input, 'output', A.output, 'cost', A.cost, 'at', since))
end
drop_live(A.message)
redis.call('HSET', K.states, 'v:' .. A.seq, A.version + 1)
redis.call('HSET', K.messages, 'd:' .. A.seq, A.doc)
redis.call('HSET', K.room, 'parked', A.message .. ' ' .. A.deadline)
redis.call('ZADD', K.generating, A.deadline, A.room)
local room = redis.call('HMGET', K.room, 'seq', 'count')
enqueue('CHAT_MESSAGE_SAVE', 'seq', A.seq, 'message', A.message, 'final', '0', 'doc', A.doc, 'last', room[1],
  'count', room[2], 'at', A.now, 'urgent', '1')
for i = 1, #REST, 5 do
  if REST[i + 1] ~= '' then
    put_call(A.seq, REST[i + 1], {state = REST[i + 3], digest = REST[i + 2]})
  end
  emit(K.events, K.room, 'type', 'message.part', 'message', A.message, 'attempt', A.attempt, 'index', REST[i],
    'part', REST[i + 4])
  if REST[i + 3] == 'waiting' then
    emit(K.account_events, K.account, 'type', 'approval.requested', 'room', A.room, 'message', A.message,
      'part', REST[i + 4])
  end
end
return {CODE.OK}
