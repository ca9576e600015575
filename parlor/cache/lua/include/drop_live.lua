-- drop_live(message) ends the live attempt, if it is this message's, and forgets its draft; or its waiting for people.
-- Uses K.room, K.draft and what parked uses.
--@include parked
local function drop_live(message)
  unpark(message)
  if string.match(redis.call('HGET', K.room, 'live') or '', '^[^:]+') == message then
    redis.call('HDEL', K.room, 'live', 'live_length', 'live_layout',
    'live_changes', 'live_since')
    redis.call('DEL', K.draft)
  end
end
