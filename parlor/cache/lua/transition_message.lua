-- What: one step of a message's state machine, if it is the expected one and legal.
-- KEYS: states
-- ARGV: now seq to by *expected
--       expected: the state that has to hold, or none: any from which the step is legal
-- Returns: OK, state | ILLEGAL, state that holds | NO_MESSAGE
-- Guarantees: compare, check, write and log are one step.
-- Safe to repeat because: the second time the expected state does not hold, and the answer says which one does.
--@include transition
local state = redis.call('HGET', K.states, 's:' .. A.seq)
if not state then
  return {CODE.NO_MESSAGE}
end
if REST[1] and state ~= REST[1] then
  return {CODE.ILLEGAL, state}
end
local moved, holds = move_message(A.seq, A.to, A.by)
return {moved and CODE.OK or CODE.ILLEGAL, holds}
