-- What: makes the caller the room's owner; whoever owned it before is refused from now on.
-- KEYS: partition generating room open
-- ARGV: room token
-- Returns: OK, seq, owner account, db_key, persona, {message id, seq} of each reply that is not finished,
--          live message:attempt or ''
--          | PARTITION_UNKNOWN | MISSING | GONE
-- Guarantees: at most one claim holds; a room that has nothing to finish is not listed as generating.
-- Safe to repeat because: the same token claims the same room again.
if redis.call('HEXISTS', K.partition, 'incarnation') == 0 then
  return {CODE.PARTITION_UNKNOWN}
end
local found = redis.call('HMGET', K.room, 'state', 'seq', 'account', 'db_key', 'persona', 'live')
if not found[1] then
  return {CODE.MISSING}
end
if found[1] == 'DELETING' or found[1] == 'DELETED' then
  return {CODE.GONE}
end
redis.call('HSET', K.room, 'claim', A.token)
if redis.call('ZCARD', K.open) == 0 then
  redis.call('ZREM', K.generating, A.room)
end
return {CODE.OK, tonumber(found[2]), found[3], found[4], found[5], redis.call('ZRANGE', K.open, 0, -1, 'WITHSCORES'),
  found[6] or ''}
