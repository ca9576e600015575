-- What: takes or renews a writer's lease on a partition.
-- KEYS: partition lease
-- ARGV: lease holder ttl
--       lease is a random token without spaces; holder is the writer's name: its successor of the same name need not
--       wait
-- Returns: OK, incarnation or '', last queue number | LEASE_LOST (another holds it)
-- Guarantees: one writer at a time while Redis remembers; the shard's epoch refuses the other cases.
-- Safe to repeat because: the holder only renews.
local held = redis.call('GET', K.lease)
if held then
  local token, holder = string.match(held, '^([^ ]+) (.*)$')
  if token ~= A.lease and holder ~= A.holder then
    return {CODE.LEASE_LOST}
  end
end
redis.call('SET', K.lease, A.lease .. ' ' .. A.holder, 'PX', A.ttl)
local found = redis.call('HMGET', K.partition, 'incarnation', 'next')
return {CODE.OK, found[1] or '', tonumber(found[2] or '0')}
