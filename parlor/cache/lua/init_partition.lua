-- What: makes a partition known to Redis, or moves its queue to a higher incarnation.
-- KEYS: partition queue
-- ARGV: incarnation
-- Returns: OK | DUPLICATE (an incarnation that is as high or higher is there), the incarnation that holds
-- Guarantees: queue positions of a later incarnation are greater than all before (incarnations are minted in the
--       shard).
-- Safe to repeat because: the same or a lower incarnation changes nothing.
local held = redis.call('HGET', K.partition, 'incarnation')
if held and tonumber(held) >= tonumber(A.incarnation) then
  return {CODE.DUPLICATE, held}
end
redis.call('HSET', K.partition, 'incarnation', A.incarnation, 'next', 0)
-- The queue and its group may have outlived the hash.
if redis.call('EXISTS', K.queue) == 0 or #redis.call('XINFO', 'GROUPS', K.queue) == 0 then
  redis.call('XGROUP', 'CREATE', K.queue, 'writer', '0', 'MKSTREAM')
end
return {CODE.OK, A.incarnation}
