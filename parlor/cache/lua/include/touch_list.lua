-- touch_list(activity) puts the room at its place in the account's list.
--   A list that was not there is not complete: the next reader fills it from the shard.
-- Uses K.account, K.rooms, A.room.
local function touch_list(activity)
  if redis.call('EXISTS', K.rooms) == 0 then
    redis.call('HDEL', K.account, 'complete', 'filling')
  end
  redis.call('ZADD', K.rooms, 'GT', activity, A.room)
end
