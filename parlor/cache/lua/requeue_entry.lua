-- What: puts a stranded entry (delivered, and held by no writer) back at the end of its queue.
-- KEYS: partition queue
-- ARGV: installation entry
-- Returns: OK | DUPLICATE (it is not there any more, or is held again) | PARTITION_UNKNOWN | FOREIGN
-- Guarantees: it is in the queue once; no other reader would ever have been given it.
-- Safe to repeat because: its old id is not in the queue any more.
--@include require_partition
local refused = require_partition()
if refused then
  return {refused}
end
local entry = redis.call('XRANGE', K.queue, A.entry, A.entry)[1]
if not entry or #redis.call('XPENDING', K.queue, 'writer', A.entry, A.entry, 1) > 0 then
  return {CODE.DUPLICATE}
end
local number = redis.call('HINCRBY', K.partition, 'next', 1)
redis.call('XADD', K.queue, redis.call('HGET', K.partition, 'incarnation') .. '-' .. number, unpack(entry[2]))
redis.call('XDEL', K.queue, A.entry)
return {CODE.OK}
