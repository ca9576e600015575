-- touch_list(activity) puts the room where it belongs in the account's list.
--   A list that was not there is not complete: the next reader fills it from the shard.
-- Uses K.account, K.rooms, A.room.
local function touch_list(activity)
  -- The room was added, and is alone: there was no list.
  if redis.call('ZADD', K.rooms, 'GT', activity, A.room) == 1 and redis.call('ZCARD', K.rooms) == 1 then
    redis.call('HDEL', K.account, 'complete', 'filling')
  end
end
