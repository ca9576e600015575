-- What: gives a lease up.
-- KEYS: partition lease
-- ARGV: lease applied
--       applied is the shard's watermark
-- Returns: OK | LEASE_LOST (it was another's by now)
-- Guarantees: never takes away another's lease.
-- Safe to repeat because: the second time there is nothing of the caller's.
--@include require_lease
--@include note_applied
local refused = require_lease()
if refused then
  return {refused}
end
redis.call('DEL', K.lease)
note_applied()
return {CODE.OK}
