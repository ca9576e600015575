-- What: rows of an account's rooms from its shard, into its list.
-- KEYS: account rooms
-- ARGV: complete list_ttl now *rows
--       complete is '1' with the last rows; rows: activity, room id of each
-- Returns: OK
-- Guarantees: a list is called complete only if it was filled to the end without expiring in between; a room that is
--       being deleted is filtered by its state when the list is read.
-- Safe to repeat because: places only move up.
if redis.call('EXISTS', K.rooms) == 0 then
  redis.call('HDEL', K.account, 'complete')
end
if #REST > 0 then
  redis.call('ZADD', K.rooms, 'GT', unpack(REST))
end
if redis.call('HEXISTS', K.account, 'event') == 0 then
  redis.call('HSET', K.account, 'event', A.now .. '-0', 'log_start', A.now .. '-0')
end
if A.complete == '1' and redis.call('EXISTS', K.rooms) == 1 then
  redis.call('HSET', K.account, 'complete', 1)
end
if tonumber(redis.call('HGET', K.account, 'pending') or '0') <= 0 then
  redis.call('PEXPIRE', K.rooms, A.list_ttl)
end
return {CODE.OK}
