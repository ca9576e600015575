-- What: keeps a lease that is still the caller's.
-- KEYS: lease
-- ARGV: lease ttl
-- Returns: OK | LEASE_LOST
-- Guarantees: never takes a lease from a successor: a writer that was paused learns that it lost.
-- Safe to repeat because: it only moves a deadline.
--@include require_lease
local refused = require_lease()
if refused then
  return {refused}
end
redis.call('PEXPIRE', K.lease, A.ttl)
return {CODE.OK}
