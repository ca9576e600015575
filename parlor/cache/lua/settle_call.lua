-- What: the end of a call that belongs to no turn: what it used is counted, what it had reserved is free again.
-- KEYS: partition queue room messages states account rooms
-- ARGV: installation room owner db_key request now message input output cost
--       room is what names the call in the queue
-- Returns: OK | DUPLICATE (it was settled, or given up by the sweep) | PARTITION_UNKNOWN | FOREIGN
-- Guarantees: it is counted once, here and in the shard.
-- Safe to repeat because: the call is forgotten with the first.
--@include require_partition
--@include settle_call
local refused = require_partition()
if refused then
  return {refused}
end
if redis.call('HEXISTS', K.account, 'l:' .. A.message) == 0 then
  return {CODE.DUPLICATE}
end
settle_call(A.message, A.input, A.output, A.cost)
return {CODE.OK}
