-- What: looks for the answer to a call of another cluster.
-- KEYS: alive answer
-- ARGV:
-- Returns: OK, the answer or '' (it waits) | MISSING (there is none, and the cluster gives no sign of life)
-- Guarantees: an answer that is there is given, whatever became of the cluster.
-- Safe to repeat because: it changes nothing.
local answer = redis.call('GET', K.answer) or ''
if answer == '' and redis.call('EXISTS', K.alive) == 0 then
  return {CODE.MISSING}
end
return {CODE.OK, answer}
