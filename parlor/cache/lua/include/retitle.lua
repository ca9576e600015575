-- retitle(only_untitled) gives the room the title A.title, unless it has it already, or has any and `only_untitled` is
--   true; returns the script's answer. The room has been required before.
-- Uses K.events, K.account_events, A.title, A.now and what enqueue and emit use.
--@include emit
--@include enqueue
local function retitle(only_untitled)
  local title = redis.call('HGET', K.room, 'title')
  if title == A.title or (only_untitled and title ~= '') then
    return {CODE.DUPLICATE}
  end
  redis.call('HSET', K.room, 'title', A.title)
  local version = redis.call('HINCRBY', K.room, 'version', 1)
  enqueue('CHAT_ROOM_UPDATE', 'title', A.title, 'version', version, 'at', A.now)
  emit(K.events, K.room, 'type', 'room.updated', 'room', A.room)
  emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
  return {CODE.OK}
end
