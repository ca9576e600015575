-- What: puts a room into its account's list, or takes out one that is gone.
-- KEYS: partition room account rooms
-- ARGV: installation room gone activity
--       gone is '1' when the shard says that the room is deleted, which counts when Redis does not know it; activity is
--       its score when Redis does not know it
-- Returns: OK | FOREIGN | DUPLICATE (it is as it should be)
-- Guarantees: what Redis knows of the room wins; a list that is not complete is left to its next reader.
-- Safe to repeat because: the second time it is as it should be.
--@include require_installation
local foreign = require_installation()
if foreign then
  return {foreign}
end
local found = redis.call('HMGET', K.room, 'state', 'active', 'created')
local gone = found[1] == 'DELETING' or found[1] == 'DELETED' or (not found[1] and A.gone == '1')
local listed = redis.call('ZSCORE', K.rooms, A.room)
if gone and listed then
  redis.call('ZREM', K.rooms, A.room)
elseif not gone and not listed and redis.call('HEXISTS', K.account, 'complete') == 1 then
  local active = found[2] ~= '' and found[2] or found[3]
  redis.call('ZADD', K.rooms, active or A.activity, A.room)
else
  return {CODE.DUPLICATE}
end
return {CODE.OK}
