-- last_of_room(seq) returns whether only deleted messages follow this slot.
-- Uses K.room, K.states.
local function last_of_room(seq)
  local last = tonumber(redis.call('HGET', K.room, 'seq'))
  if last - tonumber(seq) > 1000 then
    return false
  end
  for later = tonumber(seq) + 1, last do
    local state = redis.call('HGET', K.states, 's:' .. later)
    if state ~= 'DELETED' and state ~= 'DELETING' then
      return false
    end
  end
  return true
end
