-- What: puts a dead letter back at the end of its partition's queue.
-- KEYS: partition queue dead room messages states account rooms
-- ARGV: installation room owner db_key request now dead_letter backlog_limit
-- Returns: OK | DUPLICATE (it is not there any more) | PARTITION_UNKNOWN | FOREIGN | OVERLOADED
-- Guarantees: the operation is in the dead letters or in the queue (I6), and goes on counting as pending. It says what
--       the room's counters are now, not what they were when it was parked.
-- Safe to repeat because: a dead letter that is gone is not replayed again; the operation itself is versioned (I8).
--@include require_partition
--@include tell_counters
local refused = require_partition()
if refused then
  return {refused}
end
local parked = redis.call('XRANGE', K.dead, A.dead_letter, A.dead_letter)[1]
if not parked then
  return {CODE.DUPLICATE}
end
if redis.call('XLEN', K.queue) >= tonumber(A.backlog_limit) then
  return {CODE.OVERLOADED}
end
local room = redis.call('HMGET', K.room, 'state', 'seq', 'count', 'active')
local known = room[1] and room[1] ~= 'DELETING' and room[1] ~= 'DELETED'
local OF_PARKING = {entry = true, reason = true, parked = true}
local NOW = {last = room[2], count = room[3]}
local fields, op = {}, nil
for i = 1, #parked[2], 2 do
  local name, value = parked[2][i], parked[2][i + 1]
  if name == 'op' then
    op = value
  end
  if not OF_PARKING[name] and not (known and name == 'active') then
    fields[#fields + 1] = name
    fields[#fields + 1] = known and NOW[name] or value
    if known and name == 'last' then
      fields[#fields + 1] = 'active'
      fields[#fields + 1] = room[4]
    end
  end
end
local number = redis.call('HINCRBY', K.partition, 'next', 1)
redis.call('XADD', K.queue, redis.call('HGET', K.partition, 'incarnation') .. '-' .. number, unpack(fields))
redis.call('XDEL', K.dead, A.dead_letter)
if op == 'CHAT_ROOM_CREATE' and known then
  -- Messages that were stored before their room had a row could not tell it their number.
  tell_counters(room[2], room[3], room[4])
end
return {CODE.OK}
