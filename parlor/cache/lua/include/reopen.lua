-- keep_version(seq, past) puts what a message said beside it, until its slot is trimmed or it is deleted.
-- reopen(seq, message, doc, past, needed) opens a reply's slot again for its next attempt. `needed` is the lowest
--   version whose end closes it: the save of an earlier attempt that is still on its way does not.
--   This is no transition of the table: the attempt before has had its life, and the next one begins another.
-- Uses K.generating, K.messages, K.states, K.open, K.room, A.room, A.now, A.lease_until and what enqueue uses.
--@include enqueue
--@include parked
--@include transition
local function keep_version(seq, past)
  local kept = redis.call('HGET', K.messages, 'v:' .. seq)
  redis.call('HSET', K.messages, 'v:' .. seq, kept and kept .. '\n' .. past or past)
end

local function restate(seq, to, by, needed)
  local found = redis.call('HMGET', K.states, 's:' .. seq, 'l:' .. seq)
  redis.call('HSET', K.states, 's:' .. seq, to, 'l:' .. seq, logged(found[2], found[1], to, by), 'v:' .. seq, needed)
end

local function reopen(seq, message, doc, past, needed)
  restate(seq, 'COMPOSING', 'room', needed)
  keep_version(seq, past)
  redis.call('HSET', K.messages, 'd:' .. seq, doc)
  redis.call('ZADD', K.open, seq, message)
  needs_owner()
  local room = redis.call('HMGET', K.room, 'seq', 'count')
  enqueue('CHAT_MESSAGE_SAVE', 'seq', seq, 'message', message, 'final', '0', 'doc', doc, 'past', past,
    'last', room[1], 'count', room[2], 'at', A.now)
end
