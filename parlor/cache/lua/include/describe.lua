-- describe(title, persona) gives the room this title and this persona, nil for what it has; returns the script's
--   answer. Both are told and queued together, in one version. The room has been required before.
-- given(argument) is nil for an argument that is ''.
-- Uses K.events, K.account_events, A.now and what enqueue and emit use.
--@include emit
--@include enqueue
local function given(argument)
  return argument ~= '' and argument or nil
end

local function describe(title, persona)
  local has = redis.call('HMGET', K.room, 'title', 'persona')
  title, persona = title or has[1], persona or has[2]
  if title == has[1] and persona == has[2] then
    return {CODE.DUPLICATE}
  end
  redis.call('HSET', K.room, 'title', title, 'persona', persona)
  local version = redis.call('HINCRBY', K.room, 'version', 1)
  enqueue('CHAT_ROOM_UPDATE', 'title', title, 'persona', persona, 'version', version, 'at', A.now)
  emit(K.events, K.room, 'type', 'room.updated', 'room', A.room)
  emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
  return {CODE.OK}
end
