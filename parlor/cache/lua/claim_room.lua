-- What: makes the caller the room's owner; whoever owned it before is refused from now on.
--       A ticket is the number of the room's last claim, read before the caller was chosen to own the room. The caller
--       is refused when another owner has claimed the room since, and its own claim gets a higher number.
-- KEYS: partition generating room states open
-- ARGV: room claim ticket installation
-- Returns: OK, seq, owner account, db_key, persona, {message id, seq} of each reply that is not finished,
--          live message:attempt or '', the claim's number, the attempt that recorded the live message's last step or 0,
--          the reply that waits for people or ''
--          | PARTITION_UNKNOWN | MISSING | GONE | FENCED | FOREIGN
-- Guarantees: at most one claim holds; its number is higher than that of any before it, and than its ticket; a room
--       that has nothing to finish is not listed as generating.
-- Safe to repeat because: the same claim takes the same room again, and its number is above the ticket by then.
--@include require_partition
--@include parked
local refused = require_partition()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'state', 'seq', 'account', 'db_key', 'persona', 'live', 'claim',
  'claims', 'live_since')
if not found[1] then
  return {CODE.MISSING}
end
if found[1] == 'DELETING' or found[1] == 'DELETED' then
  return {CODE.GONE}
end
local number, ticket, own = tonumber(found[8] or '0'), tonumber(A.ticket), found[7] == A.claim
if A.claim == '' or not ticket or (not own and number > ticket) then
  return {CODE.FENCED}
end
if not own or number <= ticket then
  number = math.max(number, ticket) + 1
  redis.call('HSET', K.room, 'claim', A.claim, 'claims', number)
end
if redis.call('ZCARD', K.open) == 0 then
  redis.call('ZREM', K.generating, A.room)
end
local waits, deadline = parked()
if waits then
  redis.call('ZADD', K.generating, deadline, A.room)
end
local unfinished = {}
for _, message in ipairs(redis.call('ZRANGE', K.open, 0, -1)) do
  local seq = redis.call('HGET', K.states, 'i:' .. message)
  unfinished[#unfinished + 1] = message
  unfinished[#unfinished + 1] = seq
end
return {CODE.OK, tonumber(found[2]), found[3], found[4], found[5], unfinished, found[6] or '', number,
  tonumber(found[9] or '0'), waits or ''}
