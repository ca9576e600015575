-- What: leaves a command for another cluster.
-- KEYS: alive calls answer
-- ARGV: nonce call ttl
--       nonce names the call, and its answer; ttl is how long the caller waits, in ms
-- Returns: OK | MISSING (the cluster gives no sign of life)
-- Guarantees: a call whose caller gave up long ago is not kept.
-- Safe to repeat because: the place of the answer is made once, and the call is left only then.
if redis.call('EXISTS', K.alive) == 0 then
  return {CODE.MISSING}
end
if redis.call('SET', K.answer, '', 'NX', 'PX', A.ttl) then
  redis.call('RPUSH', K.calls, A.nonce .. A.call)
  redis.call('PEXPIRE', K.calls, A.ttl)
end
return {CODE.OK}
