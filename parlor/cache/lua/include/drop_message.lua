-- drop_message(seq, message, tombstone, by) takes a message away, however far it has come; returns outcome and state.
--   Final (I10): a queued save is skipped or buried by the delete behind it, a late end of a reply is refused. Its
--   earlier versions go with it, a summary that covers it, and a title that only quotes it.
-- Uses K.partition, K.queue, K.generating, K.room, K.messages, K.states, K.open, K.draft, K.events, K.account,
--   K.rooms, A.now and what enqueue, emit, transition, drop_live, drop_summary, drop_stand_in and reservation use.
--@include enqueue
--@include emit
--@include transition
--@include drop_live
--@include drop_summary
--@include drop_stand_in
--@include reservation
--@include calls
--@include parked
local OUTCOME = {COMPOSING = 'stopped_and_deleted', PENDING = 'cancelled', PROCESSING = 'deleting', SENT = 'deleting'}

local function drop_message(seq, message, tombstone, by)
  local outcome = OUTCOME[redis.call('HGET', K.states, 's:' .. seq)]
  local state = outcome == 'deleting' and 'DELETING' or 'DELETED'
  move_message(seq, state, by)
  if redis.call('ZREM', K.open, message) == 1 then
    local waited = parked() == message
    drop_live(message)
    forget_calls(seq)
    withdraw(message)
    if redis.call('ZCARD', K.open) == 0 then
      redis.call('ZREM', K.generating, A.room)
    elseif waited then
      redis.call('ZADD', K.generating, A.now, A.room)  -- What waited behind it.
    end
  end
  -- Until the shard has the tombstone, this slot is not stored, whatever its state.
  redis.call('HSET', K.states, 'x:' .. seq, '1')
  redis.call('HDEL', K.states, 'v:' .. seq, 'n:' .. seq)
  redis.call('HSET', K.messages, 'd:' .. seq, tombstone)
  redis.call('HDEL', K.messages, 'v:' .. seq)
  local count = redis.call('HINCRBY', K.room, 'count', -1)
  local room = redis.call('HMGET', K.room, 'seq', 'active')
  enqueue('CHAT_MESSAGE_DELETE', 'seq', seq, 'message', message, 'last', room[1], 'active', room[2],
    'count', count, 'at', A.now, 'doc', tombstone)
  emit(K.events, K.room, 'type', 'message.deleted', 'message', message, 'seq', seq, 'state', state)
  drop_summary(tonumber(seq))
  drop_stand_in(seq)
  return outcome, state
end
