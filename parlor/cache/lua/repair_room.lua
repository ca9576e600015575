-- What: a room's bookkeeping against what it has to follow from: the queue, the dead letters and the states.
-- KEYS: queue dead generating room messages states open account
-- ARGV: room owner now count event limit apply
--       count is how many messages there are, '' for not known, true as long as `event` is the room's last one; limit
--       is how many waiting operations may be counted; apply is '1' to put right what is wrong, else it is only told
-- Returns: OK, the names of what was wrong | MISSING | GONE | OVERLOADED (too much waits to be counted)
-- Guarantees: no document, no state and no place is touched: counters, lifetimes, and the two lists of open replies.
-- Safe to repeat because: the second time nothing is wrong.
local found = redis.call('HMGET', K.room, 'state', 'pending', 'count', 'event')
if not found[1] then
  return {CODE.MISSING}
end
if found[1] == 'DELETING' or found[1] == 'DELETED' then
  return {CODE.GONE}
end
if redis.call('XLEN', K.queue) + redis.call('XLEN', K.dead) > tonumber(A.limit) then
  return {CODE.OVERLOADED}
end
local apply, wrong = A.apply == '1', {}
local function is_wrong(name)
  wrong[#wrong + 1] = name
  return apply
end

local of_room, of_account = 0, 0
local function tally(entries)
  for _, entry in ipairs(entries) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'room' and entry[2][i + 1] == A.room then
        of_room = of_room + 1
      elseif entry[2][i] == 'owner' and entry[2][i + 1] == A.owner then
        of_account = of_account + 1
      end
    end
  end
end
tally(redis.call('XRANGE', K.queue, '-', '+'))
tally(redis.call('XRANGE', K.dead, '-', '+'))
if tonumber(found[2] or '0') ~= of_room and is_wrong('pending') then
  redis.call('HSET', K.room, 'pending', of_room)
end
local account_pending = redis.call('HGET', K.account, 'pending')
if account_pending and tonumber(account_pending) ~= of_account and is_wrong('account-pending') then
  redis.call('HSET', K.account, 'pending', of_account)
end
if A.count ~= '' and found[4] == A.event and found[3] ~= A.count and is_wrong('count') then
  redis.call('HSET', K.room, 'count', A.count)
end

local states, composing = {}, 0
local flat = redis.call('HGETALL', K.states)
for i = 1, #flat, 2 do
  states[flat[i]] = flat[i + 1]
end
for field, state in pairs(states) do
  local seq = string.match(field, '^s:(%d+)$')
  if seq and state == 'COMPOSING' then
    composing = composing + 1
    local message = states['m:' .. seq]
    if message and not redis.call('ZSCORE', K.open, message) and is_wrong('not-open') then
      redis.call('ZADD', K.open, seq, message)
    end
  end
end
for _, message in ipairs(redis.call('ZRANGE', K.open, 0, -1)) do
  if states['s:' .. (states['i:' .. message] or '')] ~= 'COMPOSING' and is_wrong('open') then
    redis.call('ZREM', K.open, message)
  end
end
local deadline = redis.call('ZSCORE', K.generating, A.room)
if composing > 0 and not deadline and is_wrong('not-generating') then
  redis.call('ZADD', K.generating, A.now, A.room)  -- Overdue, so that the sweep finds it an owner.
elseif composing == 0 and deadline and is_wrong('generating') then
  redis.call('ZREM', K.generating, A.room)
end
if of_room > 0 then
  local lives = math.max(redis.call('PTTL', K.room), redis.call('PTTL', K.messages), redis.call('PTTL', K.states))
  if lives >= 0 and is_wrong('expires') then
    redis.call('PERSIST', K.room)
    redis.call('PERSIST', K.messages)
    redis.call('PERSIST', K.states)
  end
end
return {CODE.OK, wrong}
