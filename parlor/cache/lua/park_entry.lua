-- What: makes a dead letter of an operation that its shard refuses for its content, so that the others flow on.
-- KEYS: lease queue dead
-- ARGV: lease now entry reason *fields
--       fields: the entry's own fields and values
-- Returns: OK | DUPLICATE | LEASE_LOST
-- Guarantees: the entry is in the queue or in the dead letters (I6). It counts as pending until it is replayed or
--       dropped: what the shard does not have does not expire here.
-- Safe to repeat because: an entry that is gone from the queue is not parked again.
--@include require_lease
local refused = require_lease()
if refused then
  return {refused}
end
redis.call('XACK', K.queue, 'writer', A.entry)
if redis.call('XDEL', K.queue, A.entry) == 0 then
  return {CODE.DUPLICATE}
end
redis.call('XADD', K.dead, '*', 'entry', A.entry, 'reason', A.reason, 'parked', A.now, unpack(REST))
return {CODE.OK}
