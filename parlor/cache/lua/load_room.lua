-- What: puts a room that Redis does not have back from its shard, with the newest of its messages.
-- KEYS: partition room messages states open
-- ARGV: owner db_key title persona created active count seq persisted version now room_ttl message_ttl *rows
--       rows: seq, message id, state, doc of each message, ascending; a state COMPOSING is a reply whose end
--       never came to the shard: it is open again
-- Returns: OK | DUPLICATE (it is here by now; nothing was changed) | PARTITION_UNKNOWN
-- Guarantees: never overwrites what Redis knows: what is queued is newer than the shard.
-- Safe to repeat because: a room that is here is left alone.
if redis.call('HEXISTS', K.partition, 'incarnation') == 0 then
  return {CODE.PARTITION_UNKNOWN}
end
if redis.call('EXISTS', K.room) == 1 then
  return {CODE.DUPLICATE}
end
redis.call('HSET', K.room, 'account', A.owner, 'db_key', A.db_key, 'title', A.title, 'persona', A.persona,
  'created', A.created, 'active', A.active, 'count', A.count, 'seq', A.seq, 'persisted', A.persisted,
  'version', A.version, 'state', 'ACTIVE', 'claim', '', 'event', A.now .. '-0', 'log_start', A.now .. '-0')
for i = 1, #REST, 4 do
  local seq = REST[i]
  -- A state that outlived the room's hash is the newer one: a message may be on its way to deletion.
  if redis.call('HSETNX', K.states, 's:' .. seq, REST[i + 2]) == 1 and REST[i + 2] == 'COMPOSING' then
    redis.call('ZADD', K.open, seq, REST[i + 1])
  end
  redis.call('HSET', K.states, 'i:' .. REST[i + 1], seq, 'm:' .. seq, REST[i + 1])
  redis.call('HSETNX', K.messages, 'd:' .. seq, REST[i + 3])
end
redis.call('PEXPIRE', K.room, A.room_ttl)
redis.call('PEXPIRE', K.states, A.room_ttl)
redis.call('PEXPIRE', K.messages, A.message_ttl)
return {CODE.OK}
