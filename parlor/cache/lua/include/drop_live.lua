-- drop_live(message) ends the live attempt, if it is this message's, and forgets its draft.
-- Uses K.room, K.draft.
local function drop_live(message)
  if string.match(redis.call('HGET', K.room, 'live') or '', '^[^:]+') == message then
    redis.call('HDEL', K.room, 'live', 'live_length', 'live_layout',
    'live_changes', 'live_since')
    redis.call('DEL', K.draft)
  end
end
