-- What: puts what an account has used today and this month back from its shard, when the counters are not here.
-- KEYS: partition account
-- ARGV: installation incarnation applied day month day_tokens month_tokens day_cost month_cost account_ttl
--       incarnation is the partition's from before the shard was read, applied the shard's watermark from before its
--       sums were
-- Returns: OK | DUPLICATE (they are here) | PARTITION_UNKNOWN | FOREIGN
--          | OUT_OF_STEP (Redis was lost meanwhile, or something that counts is not committed yet)
-- Guarantees: the counters are exact: all that counts is in the sums (I23). What is reserved stays so.
-- Safe to repeat because: counters that are here are left alone.
--@include require_partition
--@include reservation
local refused = require_partition()
if refused then
  return {refused}
end
local incarnation = redis.call('HGET', K.partition, 'incarnation')
local found = redis.call('HMGET', K.account, 'budget_day', 'charged')
if found[1] and tonumber(found[1]) <= A.day + 1 then
  return {CODE.DUPLICATE}
end
local function position(id)
  local of, number = string.match(id or '', '^(%d+)%-(%d+)$')
  return tonumber(of or '0'), tonumber(number or '0')
end
local of, number = position(found[2])
local applied_of, applied_number = position(A.applied)
if incarnation ~= A.incarnation or of > applied_of or (of == applied_of and number > applied_number) then
  return {CODE.OUT_OF_STEP}
end
local is_new = redis.call('EXISTS', K.account) == 0
redis.call('HSET', K.account, 'budget_day', A.day, 'budget_month', A.month, 'day_tokens', A.day_tokens,
  'month_tokens', A.month_tokens, 'day_cost', A.day_cost, 'month_cost', A.month_cost, 'held:day_tokens', 0,
  'held:month_tokens', 0, 'held:day_cost', 0, 'held:month_cost', 0)
for _, field in ipairs(redis.call('HKEYS', K.account)) do
  if string.sub(field, 1, 2) == 'r:' then
    local own = reservation(string.sub(field, 3))
    count('held:', own, own.tokens, own.cost, 1)
  end
end
if is_new then
  redis.call('PEXPIRE', K.account, A.account_ttl)
end
return {CODE.OK}
