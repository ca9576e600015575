-- move_message(seq, to, by) and move_room(to, by): one legal step of a state, logged.
--   Return true, or false and the state that holds. Which steps are legal is written in by the loader (is_legal).
-- step_message(seq, from, log, to, by) is move_message's for a message whose state and log were read already.
-- Use K.states or K.room, A.now.
local function logged(log, from, to, by)
  local who = string.gsub(by, '[,;]', ' ')
  return (log or '') .. A.now .. ',' .. from .. ',' .. to .. ',' .. who .. ';'
end

local function step_message(seq, from, log, to, by)
  if not from or not is_legal('message', from, to) then
    return false, from
  end
  redis.call('HSET', K.states, 's:' .. seq, to, 'l:' .. seq, logged(log, from, to, by))
  return true, to
end

local function move_message(seq, to, by)
  local found = redis.call('HMGET', K.states, 's:' .. seq, 'l:' .. seq)
  return step_message(seq, found[1], found[2], to, by)
end

local function move_room(to, by)
  local found = redis.call('HMGET', K.room, 'state', 'log')
  local from = found[1]
  if not from or not is_legal('room', from, to) then
    return false, from
  end
  redis.call('HSET', K.room, 'state', to, 'log', logged(found[2], from, to, by))
  return true, to
end
