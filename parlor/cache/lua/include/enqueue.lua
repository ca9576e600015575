-- enqueue(...) appends one operation of this room to its partition's queue.
--   The id is the partition's incarnation and a counter, so positions never go back (I7).
--   It says for which request it is queued, or '': the writer's log names it.
--   What has operations under way does not expire (I11): the room and the account count them, and lose their TTLs.
-- Uses K.partition, K.queue, K.room, K.messages, K.states, K.account, K.rooms, A.room, A.owner, A.db_key, A.request.
local function enqueue(op, ...)
  local number = redis.call('HINCRBY', K.partition, 'next', 1)
  local id = redis.call('HGET', K.partition, 'incarnation') .. '-' .. number
  redis.call('XADD', K.queue, id, 'op', op, 'room', A.room, 'owner', A.owner, 'db_key', A.db_key,
    'request', A.request, ...)
  if redis.call('HINCRBY', K.room, 'pending', 1) == 1 then
    redis.call('PERSIST', K.room)
    redis.call('PERSIST', K.messages)
    redis.call('PERSIST', K.states)
  end
  if redis.call('HINCRBY', K.account, 'pending', 1) == 1 then
    redis.call('PERSIST', K.account)
    redis.call('PERSIST', K.rooms)
  end
  return id
end
