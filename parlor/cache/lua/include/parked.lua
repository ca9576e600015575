-- parked() returns the message id of the reply that waits for people, and until when; nil when there is none. While it
--   waits the room needs no owner, so it is listed as generating by then, whatever else waits behind it.
-- unpark(message) ends the waiting, if it is this message's; returns whether it was.
-- needs_owner() lists the room as one whose owner has to be heard of by A.lease_until; one that waits stays as it is.
-- Use K.room, K.generating, A.room; needs_owner uses A.lease_until.
local function parked()
  return string.match(redis.call('HGET', K.room, 'parked') or '', '^(%S+) (%d+)$')
end

local function unpark(message)
  if parked() ~= message then
    return false
  end
  redis.call('HDEL', K.room, 'parked')
  return true
end

local function needs_owner()
  if not parked() then
    redis.call('ZADD', K.generating, A.lease_until, A.room)
  end
end
