-- What: reserves what a call of the language model may use that belongs to no turn: a title, a summary, a stateless
--       request.
-- KEYS: partition account reserving
-- ARGV: installation owner db_key now message budget alive_until account_ttl patience
--       message names the call, alive_until is by when its caller has to be heard of; patience until a sweep looks
-- Returns: OK, the tokens that the answer may have or '' | PARTITION_UNKNOWN | FOREIGN | UNCOUNTED
--          | QUOTA as append_turn
-- Guarantees: what is used and what is reserved together never exceed a limit (I23).
-- Safe to repeat because: what is reserved for the call is left as it is.
--@include require_partition
--@include budget
--@include reservation
local foreign = require_partition()
if foreign then
  return {foreign}
end
if redis.call('HEXISTS', K.account, 'l:' .. A.message) == 1 then
  local own = reservation(A.message)
  return {CODE.OK, own and own.answer or ''}
end
local asked, refused = check_budget(A.message)
if refused then
  return refused
end
local is_new = redis.call('EXISTS', K.account) == 0
local may = hold_budget(A.message, '-', 1, asked)
redis.call('HSET', K.account, 'l:' .. A.message, A.alive_until .. ' 0 0 0')
redis.call('ZADD', K.reserving, 'NX', A.now + A.patience, A.db_key .. ' ' .. A.owner)
if is_new then
  redis.call('PEXPIRE', K.account, A.account_ttl)
end
return {CODE.OK, may}
