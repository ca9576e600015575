-- What: a title that no person gave: one that the language model found, or a stand-in until it finds one.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key claim now title event_ttl event_max *flags
--       flags: stand_in (the title is one), or none
-- Returns: OK | DUPLICATE (the room keeps the title that it has) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
-- Guarantees: a title that a person gave stays, also one that reads like the stand-in; a stand-in replaces no title.
-- Safe to repeat because: a room that has got the title keeps it.
--@include require_room
--@include describe
local refused = require_room()
if refused then
  return {refused}
end
local stand_in = REST[1] == 'stand_in'
local has = redis.call('HMGET', K.room, 'title', 'stand_in')
if has[1] ~= '' and (stand_in or has[1] ~= has[2]) then
  return {CODE.DUPLICATE}
end
if stand_in then
  redis.call('HSET', K.room, 'stand_in', A.title)
else
  redis.call('HDEL', K.room, 'stand_in')
end
return describe(A.title, '')
