-- What: opens a closed partition in the history that this server goes on with, with a higher incarnation.
-- KEYS: partition lease queue generating
-- ARGV: lease history incarnation applied *gone
--       applied is the shard's watermark; gone: rooms with unfinished replies that the shard does not have
-- Returns: OK | DUPLICATE (it is open) | OUT_OF_STEP (something is queued that the shard does not have) | LEASE_LOST
-- Guarantees: nothing was queued under the positions that are given from now on (incarnations are minted in the shard).
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
for _, room in ipairs(REST) do
  redis.call('ZREM', K.generating, room)
end
redis.call('HSET', K.partition, 'history', now, 'incarnation', A.incarnation, 'next', 0, 'applied', A.applied)
return {CODE.OK}
