-- What: takes a dead letter away, after what it was about has been settled.
-- KEYS: partition dead room messages states open account rooms
-- ARGV: installation dead_letter room_ttl message_ttl list_ttl
-- Returns: OK | FOREIGN | DUPLICATE (it is not there any more)
-- Guarantees: it no longer counts as pending, so a room with nothing else under way may expire.
-- Safe to repeat because: a dead letter that is gone is not counted again.
--@include require_installation
local foreign = require_installation()
if foreign then
  return {foreign}
end
if redis.call('XDEL', K.dead, A.dead_letter) == 0 then
  return {CODE.DUPLICATE}
end
if redis.call('EXISTS', K.account) == 1 and redis.call('HINCRBY', K.account, 'pending', -1) <= 0 then
  redis.call('HSET', K.account, 'pending', 0)
  redis.call('PEXPIRE', K.account, A.room_ttl)
  redis.call('PEXPIRE', K.rooms, A.list_ttl)
end
if redis.call('HEXISTS', K.room, 'state') == 1 and redis.call('HINCRBY', K.room, 'pending', -1) <= 0
    and redis.call('ZCARD', K.open) == 0 then
  redis.call('HSET', K.room, 'pending', 0)
  redis.call('PEXPIRE', K.room, A.room_ttl)
  redis.call('PEXPIRE', K.states, A.room_ttl)
  redis.call('PEXPIRE', K.messages, A.message_ttl)
end
return {CODE.OK}
