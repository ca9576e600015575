-- What: looks whether a reservation is still needed, and settles one that is not: of a turn that is not open any more,
--       of a call whose caller was not heard of in time.
-- KEYS: partition queue open room messages states account rooms reserving
-- ARGV: installation room owner db_key request now message patience
--       message is '' to see only whether the account has any left; patience is how long, in ms, a turn that is not
--       open may be on its way to being settled
-- Returns: OK | DUPLICATE (it was settled here) | PARTITION_UNKNOWN | FOREIGN
-- Guarantees: an attempt that had begun is charged its prompt, a call what it told last; what an open turn has reserved
--       is left alone, however long it waits.
-- Safe to repeat because: what is settled is gone, and a turn's patience begins once.
--@include require_partition
--@include settle_call
--@include settle
--@include reservation
--@include words
local refused = require_partition()
if refused then
  return {refused}
end
local whose = A.db_key .. ' ' .. A.owner
local orphan, call = 'o:' .. A.message, redis.call('HGET', K.account, 'l:' .. A.message)
local done = false
if call then
  local words = words_of(call)
  if tonumber(words[1]) < tonumber(A.now) then
    settle_call(A.message, words[2], words[3], words[4])
    done = true
  end
elseif A.message ~= '' and reservation(A.message) then
  local since = redis.call('HGET', K.account, orphan)
  if redis.call('ZSCORE', K.open, A.message) then
    redis.call('HDEL', K.account, orphan)
  elseif not since then
    redis.call('HSET', K.account, orphan, A.now)
  elseif A.now - since >= tonumber(A.patience) then
    charge_cut_off(A.message, '0')
    release(A.message)
    done = true
  end
end
local function none_left()
  for _, field in ipairs(redis.call('HKEYS', K.account)) do
    if string.find(field, '^[rl]:') then
      return false
    end
  end
  return true
end
if A.message == '' and none_left() then
  redis.call('ZREM', K.reserving, whose)
else
  redis.call('ZADD', K.reserving, 'XX', A.now + A.patience, whose)
end
return {done and CODE.DUPLICATE or CODE.OK}
