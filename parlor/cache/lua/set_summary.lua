-- What: a new summary of the room's older turns, here at once, in the shard through the queue.
-- KEYS: partition queue room messages states account rooms
-- ARGV: room owner db_key request claim now version summary text through
--       version is the one that the summary was made from; summary is the document that the room keeps, with text and
--       through (the newest seq that it covers) in it
-- Returns: OK | DUPLICATE | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | OUT_OF_STEP (since that version there was another summary, a reset, or a message was deleted or edited)
-- Guarantees: what was deleted while the summary was made is not in it (I10); the shard keeps the highest version.
-- Safe to repeat because: a summary that stands there with the next version is this one.
--@include require_room
--@include enqueue
local refused = require_room()
if refused then
  return {refused}
end
local found = redis.call('HMGET', K.room, 'summary', 'summary_version')
local version = tonumber(found[2] or '0')
if version ~= tonumber(A.version) then
  if version == tonumber(A.version) + 1 and found[1] == A.summary then
    return {CODE.DUPLICATE}
  end
  return {CODE.OUT_OF_STEP}
end
redis.call('HSET', K.room, 'summary', A.summary, 'summary_version', version + 1)
enqueue('CHAT_ROOM_UPDATE', 'summary', A.text, 'through', A.through, 'summary_version', version + 1, 'at', A.now)
return {CODE.OK}
