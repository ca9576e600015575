-- require_room() gives nil when the room is here, alive and claimed by A.claim; else the refusing code.
-- An empty A.claim asks for no ownership (deletes are final whoever asks; they never move seq).
-- Uses K.partition, K.room, A.claim.
local function require_room()
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
  if A.claim ~= '' and found[2] ~= A.claim then
    return CODE.FENCED
  end
  return nil
end
