-- What: takes or renews a writer's lease on a partition.
-- KEYS: partition lease
-- ARGV: lease holder predecessor generation ttl installation
--       lease is a random token without spaces; holder is the writer's name: its successor of the same name need not
--       wait, nor does who knows that the holder is gone, and names it as its predecessor ('' for none); generation is
--       how often the partition had moved, by the map that the writer goes by
-- Returns: OK, incarnation or '', last queue number, the shard's watermark as far as it was told or '',
--          1 when the partition is closed (another server goes on with it) or 0, the server's history or ''
--          | LEASE_LOST, the holder (another holds it; '' when no token was given) | FOREIGN
-- Guarantees: one writer at a time while Redis remembers; the shard's epoch refuses the other cases. Who goes by a
--       later generation does not wait for who went by an earlier one: since before the map changed, the shard that the
--       partition left has refused its writers (I28). Another installation's partition is left alone (I21).
-- Safe to repeat because: the holder only renews.
--@include require_installation
--@include require_lease
--@include history
local refused = require_installation()
if refused then
  return {refused}
end
if A.lease == '' then
  return {CODE.LEASE_LOST, ''}
end
local held, name = redis.call('GET', K.lease), lease_name(A.lease)
if held then
  local token, holder = string.match(held, '^([^ ]+) (.*)$')
  if token ~= name and holder ~= A.holder and holder ~= A.predecessor then
    local generation = redis.call('HGET', K.partition, 'generation')
    if not generation or tonumber(A.generation) <= tonumber(generation) then
      return {CODE.LEASE_LOST, holder}
    end
  end
end
redis.call('HSETNX', K.partition, 'installation', A.installation)
redis.call('HSET', K.partition, 'generation', A.generation)
redis.call('SET', K.lease, name .. ' ' .. A.holder, 'PX', A.ttl)
local found = redis.call('HMGET', K.partition, 'incarnation', 'next', 'applied', 'history')
local now = REPLICATED and history() or ''
local closed = REPLICATED and found[1] and found[4] ~= now
return {CODE.OK, found[1] or '', tonumber(found[2] or '0'), found[3] or '', closed and 1 or 0, now}
