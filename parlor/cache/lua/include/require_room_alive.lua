-- require_room_alive() gives nil and the room's claim when the room is here and alive; else the refusing code.
-- Uses K.partition, K.room.
local function require_room_alive()
  if redis.call('HEXISTS', K.partition, 'incarnation') == 0 then
    return CODE.PARTITION_UNKNOWN
  end
  local found = redis.call('HMGET', K.room, 'state', 'claim')
  if not found[1] then
    return CODE.MISSING
  end
  if found[1] == 'DELETING' or found[1] == 'DELETED' then
    return CODE.GONE
  end
  return nil, found[2]
end
