-- drop_stand_in(seq) takes the room's title away when it only stands in for one, with the first words of this slot.
-- Uses K.room and what describe uses.
--@include describe
local function drop_stand_in(seq)
  local has = redis.call('HMGET', K.room, 'title', 'stand_in')
  if has[2] and has[2] == seq .. ' ' .. has[1] then
    redis.call('HDEL', K.room, 'stand_in')
    describe('', nil)
  end
end
