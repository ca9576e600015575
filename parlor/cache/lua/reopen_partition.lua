-- What: opens a closed partition in the history that this server goes on with, with a higher incarnation.
-- KEYS: partition lease queue generating
-- ARGV: lease history incarnation applied now *rooms
--       applied is the shard's watermark; rooms: a room and 'gone' for each that is said to have unfinished replies and
--       that the shard does not have, a room and 'open' for each that has some by its shard
-- Returns: OK | DUPLICATE (it is open) | OUT_OF_STEP (something is queued that the shard does not have) | LEASE_LOST
-- Guarantees: nothing was queued under the positions that are given from now on (incarnations are minted in the shard);
--       a reply that only the shard knows of is overdue, so that a sweeper finds it an owner.
-- Safe to repeat because: an open partition is left alone.
--@include require_lease
--@include history
local refused = require_history() or require_lease()
if refused then
  return {refused}
end
local now = REPLICATED and history()
if not now or redis.call('HGET', K.partition, 'history') == now then
  return {CODE.DUPLICATE}
end
if redis.call('XLEN', K.queue) > 0 then
  return {CODE.OUT_OF_STEP}
end
for i = 1, #REST, 2 do
  if REST[i + 1] == 'gone' then
    redis.call('ZREM', K.generating, REST[i])
  else
    redis.call('ZADD', K.generating, 'NX', A.now, REST[i])
  end
end
redis.call('HSET', K.partition, 'history', now, 'incarnation', A.incarnation, 'next', 0, 'applied', A.applied)
return {CODE.OK}
