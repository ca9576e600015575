-- What: lets go of what a closed partition has of its rooms and accounts: it may be older than what the shard has.
-- KEYS: partition lease *names
--       names: some of the partition's keys
-- ARGV: lease history
-- Returns: OK, how many of them were there | DUPLICATE, 0 (the partition is open) | LEASE_LOST
-- Guarantees: what was written since the partition was opened is not touched.
-- Safe to repeat because: what is gone is gone.
--@include require_lease
--@include history
local refused = require_history() or require_lease()
if refused then
  return {refused}
end
if not REPLICATED or redis.call('HGET', K.partition, 'history') == history() then
  return {CODE.DUPLICATE, 0}
end
local gone = 0
for i = 1, #MORE do
  gone = gone + redis.call('UNLINK', MORE[i])
end
return {CODE.OK, gone}
