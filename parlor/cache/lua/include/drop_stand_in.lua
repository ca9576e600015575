-- drop_stand_in(seq) takes the room's title away when it only stands in for one, with the first words of this slot; or
--   when it was like these words as the room was loaded, where the shard does not know who gave it.
-- Uses K.room and what describe uses.
--@include describe
local function drop_stand_in(seq)
  local has = redis.call('HMGET', K.room, 'title', 'stand_in', 'quotes')
  local quote = seq .. ' ' .. has[1]
  if has[2] == quote or has[3] == quote then
    redis.call('HDEL', K.room, 'stand_in', 'quotes')
    describe('')
  end
end
