-- What: queues tokens that the language model used for a room and that no message's end counts: for its title, for its
--       summary, for a reply that was deleted while it was written.
-- KEYS: partition queue room messages states account rooms
-- ARGV: installation room owner db_key request now purpose call message attempt input output cost
--       message and attempt are the reply's whose reservation it settles, '' for none;
--       call names this count among those of its purpose, which come one after the other
-- Returns: OK | DUPLICATE | PARTITION_UNKNOWN | FOREIGN | MISSING
-- Guarantees: what is counted here is added once to the account's day. No claim is needed: tokens were used, whoever
--       owns the room by now and whether it is deleted.
-- Safe to repeat because: the room remembers the last call of each purpose.
--@include require_partition
--@include reservation
--@include settle
--@include enqueue
local refused = require_partition()
if refused then
  return {refused}
end
if redis.call('EXISTS', K.room) == 0 then
  return {CODE.MISSING}
end
local own = reservation(A.message)
if own and own.attempt ~= tonumber(A.attempt) then
  return {CODE.DUPLICATE}  -- Who took the reply over has charged this attempt.
end
local field = 'counted:' .. A.purpose
if redis.call('HGET', K.room, field) == A.call then
  return {CODE.DUPLICATE}
end
redis.call('HSET', K.room, field, A.call)
local since = settle(A.message, A.input, A.output, A.cost)
if A.input + A.output + A.cost > 0 then
  charged(enqueue('CHAT_USAGE_ADD', 'input', A.input, 'output', A.output, 'cost', A.cost, 'at', since))
end
return {CODE.OK}
