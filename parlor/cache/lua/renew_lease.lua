-- What: keeps a lease that is still the caller's.
-- KEYS: partition lease
-- ARGV: lease ttl applied
--       applied is the shard's watermark
-- Returns: OK | LEASE_LOST
-- Guarantees: never takes a lease from a successor: a writer that was paused learns that it lost.
-- Safe to repeat because: it only moves a deadline, and the watermark up.
--@include require_lease
--@include note_applied
local refused = require_lease()
if refused then
  return {refused}
end
redis.call('PEXPIRE', K.lease, A.ttl)
note_applied()
return {CODE.OK}
