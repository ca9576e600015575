-- What: a title that no person gave: one that the language model found, or a stand-in until it finds one.
-- KEYS: partition queue room messages states events account rooms account_events
-- ARGV: room owner db_key request claim now version title quoted event_ttl event_max
--       version is the summary's when the messages were read that the title was made from; quoted is the seq of the
--       message whose first words stand in, '' for a title that was found
-- Returns: OK | DUPLICATE (the room keeps the title that it has) | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | OUT_OF_STEP (since that version a message was deleted or edited, or the summary is another one)
-- Guarantees: a title that a person gave stays, also one that reads like the stand-in; a stand-in replaces no title;
--       what was deleted in the meantime is in neither (I10).
-- Safe to repeat because: a room that has got the title keeps it.
--@include require_room
--@include describe
local refused = require_room()
if refused then
  return {refused}
end
local has = redis.call('HMGET', K.room, 'title', 'stand_in', 'summary_version')
local stands_in = has[2] and string.match(has[2], '^%d+ (.*)$') == has[1]
if has[1] ~= '' and (A.quoted ~= '' or not stands_in) then
  return {CODE.DUPLICATE}
end
if tonumber(has[3] or '0') ~= tonumber(A.version) then
  return {CODE.OUT_OF_STEP}
end
if A.quoted ~= '' then
  redis.call('HSET', K.room, 'stand_in', A.quoted .. ' ' .. A.title)
else
  redis.call('HDEL', K.room, 'stand_in')
end
return describe(A.title)
