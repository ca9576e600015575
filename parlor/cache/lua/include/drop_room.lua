-- drop_room(refused) deletes the room for everybody at once; returns the script's answer. `refused` is what
--   require_room or require_room_alive has said: a room that is going already is left alone.
-- Uses K.generating, K.draft, K.open, K.events, K.account_events, A.by, A.now and what enqueue, emit, transition
--   and reservation use.
--@include emit
--@include enqueue
--@include transition
--@include reservation
local function drop_room(refused)
  if refused == CODE.GONE then
    return {CODE.DUPLICATE}
  elseif refused then
    return {refused}
  end
  local moved, state = move_room('DELETING', A.by)
  if not moved then
    return {CODE.ILLEGAL, state}
  end
  redis.call('HSET', K.room, 'claim', '')
  redis.call('HDEL', K.room, 'live', 'live_length', 'live_layout',
    'live_changes', 'live_since', 'parked')
  redis.call('ZREM', K.generating, A.room)
  for _, message in ipairs(redis.call('ZRANGE', K.open, 0, -1)) do
    withdraw(message)
  end
  redis.call('DEL', K.messages, K.states, K.open, K.draft)
  redis.call('ZREM', K.rooms, A.room)
  local external = 'x:' .. (redis.call('HGET', K.room, 'external') or '')
  if redis.call('HGET', K.account, external) == A.room then
    redis.call('HDEL', K.account, external)
  end
  enqueue('CHAT_ROOM_DELETE', 'at', A.now)
  emit(K.events, K.room, 'type', 'room.deleted', 'room', A.room)
  emit(K.account_events, K.account, 'type', 'room.deleted', 'room', A.room)
  return {CODE.OK}
end
