-- What: puts a room that Redis does not have back from its shard, with the newest of its messages.
-- KEYS: partition generating room messages states open
-- ARGV: room owner db_key title persona external metadata created active count seq persisted version summary
--       summary_version now quoted incarnation installation room_ttl message_ttl *rows
--       quoted is the seq of a message whose first words the title is, '' for none
--       incarnation is the partition's from before the shard was read; persisted is the last seq of the shard; rows:
--       seq, message id, state, doc, version, deadline and calls of each message, ascending: deadline is until when a
--       reply waits for people, '' for one that does not, calls has id, state, digest and request of each of its calls;
--       a state COMPOSING is a reply whose end never came to the shard: it is open again, and overdue unless it waits,
--       so that a sweeper finds it an owner; its row's version is one below the one that closes it
-- Returns: OK | DUPLICATE (it is here by now; nothing was changed) | PARTITION_UNKNOWN | FOREIGN
--          | OUT_OF_STEP (Redis has been lost since the shard was read, which may have more by now)
-- Guarantees: never overwrites what Redis knows: what is queued is newer than the shard; the watermark stays below the
--       first message that is not final.
-- Safe to repeat because: a room that is here is left alone.
--@include require_partition
--@include calls
--@include log_begins
local refused = require_partition()
if refused then
  return {refused}
end
if redis.call('HGET', K.partition, 'incarnation') ~= A.incarnation then
  return {CODE.OUT_OF_STEP}
end
if redis.call('EXISTS', K.room) == 1 then
  return {CODE.DUPLICATE}
end
local FINAL = {SENT = true, DELETING = true, DELETED = true}
local persisted, opened, waits = tonumber(A.persisted), nil, nil
for i = 1, #REST, 7 do
  local seq, message, state = tonumber(REST[i]), REST[i + 1], REST[i + 2]
  -- A state that outlived the room's hash is the newer one: a message may be on its way to deletion.
  if redis.call('HSETNX', K.states, 's:' .. seq, state) == 0 then
    state = redis.call('HGET', K.states, 's:' .. seq)
  end
  if state == 'COMPOSING' then
    opened = opened or REST[i + 5] ~= '' and REST[i + 5] or A.now
    waits = waits or REST[i + 5] ~= '' and message .. ' ' .. REST[i + 5]
    for id, at, digest, request in string.gmatch(REST[i + 6], '(%S+) (%S+) (%S+) (%S+)') do
      put_call(seq, id, {state = at, digest = digest, request = request})
    end
    redis.call('ZADD', K.open, seq, message)
    redis.call('HSETNX', K.states, 'v:' .. seq, REST[i + 4] + 1)
  end
  if not FINAL[state] then
    persisted = math.min(persisted, seq - 1)
  end
  redis.call('HSET', K.states, 'i:' .. message, seq, 'm:' .. seq, message)
  redis.call('HSETNX', K.messages, 'd:' .. seq, REST[i + 3])
end
if opened then
  redis.call('ZADD', K.generating, 'NX', opened, A.room)
end
-- What is older than the rows was never here: finishing does not have to trim its way up to them.
local below = REST[1] and tonumber(REST[1]) - 1 or persisted
local begins = log_begins(A.incarnation)
redis.call('HSET', K.room, 'account', A.owner, 'db_key', A.db_key, 'title', A.title, 'persona', A.persona,
  'external', A.external, 'metadata', A.metadata,
  'created', A.created, 'active', A.active, 'count', A.count, 'seq', A.seq,
  'persisted', persisted, 'version', A.version, 'summary', A.summary, 'summary_version', A.summary_version,
  'state', 'ACTIVE', 'claim', '', 'event', begins, 'log_start', begins,
  'trimmed', below, 'forgotten', below)
if waits then
  redis.call('HSET', K.room, 'parked', waits)
end
if A.quoted ~= '' then
  redis.call('HSET', K.room, 'quotes', A.quoted .. ' ' .. A.title)
end
redis.call('PEXPIRE', K.room, A.room_ttl)
redis.call('PEXPIRE', K.states, A.room_ttl)
redis.call('PEXPIRE', K.messages, A.message_ttl)
return {CODE.OK}
