-- What: a cluster's sign of life; and the commands that others have left for it.
-- KEYS: alive calls
-- ARGV: ttl limit
--       ttl is how long it counts as alive, in ms; limit is how many calls it takes
-- Returns: OK, the calls, the oldest first
-- Guarantees: a call is taken once.
-- Safe to repeat because: of a call that was taken without being served nobody hears; its caller makes another one.
redis.call('SET', K.alive, '1', 'PX', A.ttl)
local calls = {}
while #calls < tonumber(A.limit) do
  local call = redis.call('LPOP', K.calls)
  if not call then
    break
  end
  calls[#calls + 1] = call
end
return {CODE.OK, calls}
