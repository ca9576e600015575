-- describe(title, persona, metadata) gives the room this title, this persona and this metadata, nil for what it has;
--   returns the script's answer. They are told and queued together, in one version. The room has been required before.
--   metadata is JSON, '{}' for none; a room that an older program loaded may have some that only the shard knows, which
--   an update leaves alone.
-- given(argument) is nil for an argument that is ''.
-- Uses K.events, K.account_events, A.now and what enqueue and emit use.
--@include emit
--@include enqueue
local function given(argument)
  return argument ~= '' and argument or nil
end

local function describe(title, persona, metadata)
  local has = redis.call('HMGET', K.room, 'title', 'persona', 'metadata')
  title, persona = title or has[1], persona or has[2]
  local same = metadata == nil or metadata == has[3] or metadata == '{}' and has[3] == ''
  if title == has[1] and persona == has[2] and same then
    return {CODE.DUPLICATE}
  end
  metadata = metadata or has[3] or ''
  redis.call('HSET', K.room, 'title', title, 'persona', persona)
  if metadata ~= '' then
    redis.call('HSET', K.room, 'metadata', metadata)
  end
  local version = redis.call('HINCRBY', K.room, 'version', 1)
  enqueue('CHAT_ROOM_UPDATE', 'title', title, 'persona', persona, 'version', version, 'at', A.now, 'metadata', metadata)
  emit(K.events, K.room, 'type', 'room.updated', 'room', A.room)
  emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
  return {CODE.OK}
end
