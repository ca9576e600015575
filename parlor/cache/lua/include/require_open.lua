-- The script ends here when the partition is closed (I27). One that Redis does not know is not closed: who meets it
--   opens it. A replica says that it is one, so that the connection to it is given up.
-- Uses K.partition.
--@include history
local opened = redis.call('HMGET', K.partition, 'incarnation', 'history')
if opened[1] then
  local now = history()
  if not now then
    return redis.error_reply('READONLY this server is a replica')
  end
  if opened[2] ~= now then
    return {CODE.CLOSED}
  end
end
