-- What: makes a partition known to Redis, or moves its queue to a higher incarnation.
-- KEYS: partition queue
-- ARGV: incarnation applied installation
--       applied is the shard's watermark
-- Returns: OK | DUPLICATE (an incarnation that is as high or higher is there), the incarnation that holds | FOREIGN
--          | CLOSED (another server goes on with the partition; its writer opens it)
-- Guarantees: queue positions of a later incarnation are greater than all before (incarnations are minted in the
--       shard); another installation's partition is left alone (I21).
-- Safe to repeat because: the same or a lower incarnation changes nothing.
--@include require_installation
--@include history
local refused = require_installation()
if refused then
  return {refused}
end
redis.call('HSETNX', K.partition, 'installation', A.installation)
local held = redis.call('HGET', K.partition, 'incarnation')
if REPLICATED then
  local now = history()
  if held and redis.call('HGET', K.partition, 'history') ~= now then
    return {CODE.CLOSED}
  end
  redis.call('HSET', K.partition, 'history', now)
end
if held and tonumber(held) >= tonumber(A.incarnation) then
  return {CODE.DUPLICATE, held}
end
redis.call('HSET', K.partition, 'incarnation', A.incarnation, 'next', 0, 'applied', A.applied)
-- The queue and its group may have outlived the hash.
if redis.call('EXISTS', K.queue) == 0 or #redis.call('XINFO', 'GROUPS', K.queue) == 0 then
  redis.call('XGROUP', 'CREATE', K.queue, 'writer', '0', 'MKSTREAM')
end
return {CODE.OK, A.incarnation}
