-- What: reads all that Redis has of a room, for a check.
-- KEYS: generating room messages states open events
-- ARGV: room
-- Returns: OK, {field, value, ...} of the room, of its messages and of its states, {message id, seq, ...} of its open
--          replies, its deadline in generating or '', the id of its last event or '', milliseconds to live of room,
--          messages and states (-1: for ever, -2: not there)
--          | MISSING
-- Guarantees: everything is of the same moment.
-- Safe to repeat because: it only reads.
if redis.call('HEXISTS', K.room, 'state') == 0 then
  return {CODE.MISSING}
end
local newest = redis.call('XREVRANGE', K.events, '+', '-', 'COUNT', 1)
return {CODE.OK, redis.call('HGETALL', K.room), redis.call('HGETALL', K.messages), redis.call('HGETALL', K.states),
  redis.call('ZRANGE', K.open, 0, -1, 'WITHSCORES'), redis.call('ZSCORE', K.generating, A.room) or '',
  newest[1] and newest[1][1] or '',
  {redis.call('PTTL', K.room), redis.call('PTTL', K.messages), redis.call('PTTL', K.states)}}
