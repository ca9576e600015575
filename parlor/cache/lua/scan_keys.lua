-- What: one step of a walk over all keys of the server that has a closed partition.
-- KEYS: lease
-- ARGV: lease history cursor pattern count
-- Returns: OK, the next cursor, {name, ...} | LEASE_LOST
-- Guarantees: the names are those of the server on which the partition is held.
-- Safe to repeat because: it only reads.
--@include require_lease
local refused = require_history() or require_lease()
if refused then
  return {refused}
end
local found = redis.call('SCAN', A.cursor, 'MATCH', A.pattern, 'COUNT', A.count)
return {CODE.OK, found[1], found[2]}
