-- What: rows of an account's rooms from its shard, into its list, page by page.
-- KEYS: partition account rooms *hashes
--       hashes: the room's own, of each of the rows
-- ARGV: installation first complete list_ttl account_ttl now *rows
--       first is '1' with the first rows, complete is '1' with the last; rows: activity, room id of each
-- Returns: OK | FOREIGN
-- Guarantees: a list is called complete only if it was filled from the first row to the last without being lost in
--       between; a room that was deleted while its rows were on their way does not come back.
-- Safe to repeat because: rooms only move up the list.
--@include require_installation
--@include log_begins
local foreign = require_installation()
if foreign then
  return {foreign}
end
if redis.call('EXISTS', K.rooms) == 0 then
  redis.call('HDEL', K.account, 'complete', 'filling')
end
if A.first == '1' then
  redis.call('HSET', K.account, 'filling', 1)
end
for i = 1, #REST, 2 do
  local state = redis.call('HGET', MORE[(i + 1) / 2], 'state')
  if state ~= 'DELETING' and state ~= 'DELETED' then
    redis.call('ZADD', K.rooms, 'GT', REST[i], REST[i + 1])
  end
end
-- Without the partition the log's epoch is not known yet: its first event will tell.
local incarnation = redis.call('HGET', K.partition, 'incarnation')
if incarnation and redis.call('HEXISTS', K.account, 'event') == 0 then
  local begins = log_begins(incarnation)
  redis.call('HSET', K.account, 'event', begins, 'log_start', begins)
end
if A.complete == '1' and redis.call('EXISTS', K.rooms) == 1 and redis.call('HEXISTS', K.account, 'filling') == 1 then
  redis.call('HSET', K.account, 'complete', 1)
end
if tonumber(redis.call('HGET', K.account, 'pending') or '0') <= 0 then
  redis.call('PEXPIRE', K.rooms, A.list_ttl)
  redis.call('PEXPIRE', K.account, A.account_ttl)
end
return {CODE.OK}
