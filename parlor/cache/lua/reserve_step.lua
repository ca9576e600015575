-- What: reserves what a reply may use with its next step, beside what its steps so far have used (I23).
-- KEYS: partition room account reserving
-- ARGV: room owner db_key claim now message attempt budget
--       budget asks for all of it: what was used and what the next step may use
-- Returns: OK, the tokens that all its answers together may have or '' | PARTITION_UNKNOWN | MISSING | GONE | FENCED
--          | ILLEGAL (another attempt is live) | UNCOUNTED | QUOTA as append_turn
-- Guarantees: what the reply had reserved is replaced in the same step.
-- Safe to repeat because: the same is reserved instead of itself.
--@include require_room
--@include budget
local refused = require_room()
if refused then
  return {refused}
end
if redis.call('HGET', K.room, 'live') ~= A.message .. ':' .. A.attempt then
  return {CODE.ILLEGAL}
end
local asked, over = check_budget(A.message)
if over then
  return over
end
return {CODE.OK, hold_budget(A.message, A.room, A.attempt, asked)}
