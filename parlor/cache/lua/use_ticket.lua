-- What: opens an event stream with its ticket, which from then on lives until its end.
-- KEYS: ticket
-- ARGV: path now
-- Returns: OK, account, the token's key, when that was issued and when it ends in ms | MISSING (no such ticket, one for
--       another path, or at its end)
-- Guarantees: a ticket opens no other path, and an attempt at one does not make it live longer.
-- Safe to repeat because: a ticket may be used again.
local found = redis.call('HMGET', K.ticket, 'account', 'path', 'ends', 'key', 'issued')
if found[2] ~= A.path or not found[4] or tonumber(found[3]) <= tonumber(A.now) then
  return {CODE.MISSING}
end
redis.call('PEXPIREAT', K.ticket, found[3])
return {CODE.OK, found[1], found[4], found[5], found[3]}
