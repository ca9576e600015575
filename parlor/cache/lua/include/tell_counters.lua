-- tell_counters(last, count, active) queues the row of the room's newest message once more, for the room's counters
--   that come with it; true if that was possible. As a row that only reserves a slot it moves no state and counts no
--   use, and its version changes nothing in the shard (I8).
-- Uses K.messages, K.states, A.now and what enqueue uses.
--@include enqueue
local function tell_counters(last, count, active)
  local message, doc = redis.call('HGET', K.states, 'm:' .. last), redis.call('HGET', K.messages, 'd:' .. last)
  if not message or not doc then
    return false
  end
  enqueue('CHAT_MESSAGE_SAVE', 'seq', last, 'message', message, 'final', '0', 'doc', doc, 'last', last,
    'count', count, 'active', active ~= '' and active or A.now, 'at', A.now)
  return true
end
