-- move_message(seq, to, by) and move_room(to, by): one legal step of a state, logged.
--   Return true, or false and the state that holds. The table of legal steps is written in by the loader (LEGAL).
-- Uses K.states or K.room, A.now.
local function logged(log, from, to, by)
  local who = string.gsub(by, '[,;]', ' ')
  return (log or '') .. A.now .. ',' .. from .. ',' .. to .. ',' .. who .. ';'
end

local function move_message(seq, to, by)
  local found = redis.call('HMGET', K.states, 's:' .. seq, 'l:' .. seq)
  local from = found[1]
  if not from or not LEGAL.message[from][to] then
    return false, from
  end
  redis.call('HSET', K.states, 's:' .. seq, to, 'l:' .. seq, logged(found[2], from, to, by))
  return true, to
end

local function move_room(to, by)
  local found = redis.call('HMGET', K.room, 'state', 'log')
  local from = found[1]
  if not from or not LEGAL.room[from][to] then
    return false, from
  end
  redis.call('HSET', K.room, 'state', to, 'log', logged(found[2], from, to, by))
  return true, to
end
