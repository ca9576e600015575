-- drop_summary(seq) forgets the room's summary when it covers this slot, and any fold of it that is in progress.
-- Uses K.room and what enqueue uses.
--@include enqueue
local function drop_summary(seq)
  local version = redis.call('HINCRBY', K.room, 'summary_version', 1)
  local summary = redis.call('HGET', K.room, 'summary')
  if summary and summary ~= '' and cjson.decode(summary).through_seq >= seq then
    redis.call('HDEL', K.room, 'summary')
    enqueue('CHAT_ROOM_UPDATE', 'summary', '', 'through', 0, 'summary_version', version, 'at', A.now)
  end
end
