-- What: gives up a claim at passivation.
-- KEYS: room
-- ARGV: claim
-- Returns: OK | FENCED (the claim is another's; nothing to give up)
-- Guarantees: never takes away a claim that is not the caller's.
-- Safe to repeat because: the second time the claim is not the caller's any more.
if A.claim == '' or redis.call('HGET', K.room, 'claim') ~= A.claim then
  return {CODE.FENCED}
end
redis.call('HSET', K.room, 'claim', '')
return {CODE.OK}
