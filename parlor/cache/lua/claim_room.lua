-- What: makes the caller the room's owner; whoever owned it before is refused from now on.
-- KEYS: partition generating room states open
-- ARGV: room token
-- Returns: OK, seq, owner account, db_key, persona, {message id, seq, the version that closes it or ''} of each reply
--          that is not finished, live message:attempt or ''
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
local unfinished = {}
for _, message in ipairs(redis.call('ZRANGE', K.open, 0, -1)) do
  local seq = redis.call('HGET', K.states, 'i:' .. message)
  unfinished[#unfinished + 1] = message
  unfinished[#unfinished + 1] = seq
  unfinished[#unfinished + 1] = redis.call('HGET', K.states, 'v:' .. seq) or ''
end
return {CODE.OK, tonumber(found[2]), found[3], found[4], found[5], unfinished, found[6] or ''}
