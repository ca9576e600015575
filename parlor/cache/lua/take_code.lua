-- What: uses a sign-in code up.
-- KEYS: code
-- ARGV: expected
--       the account that it has to be of; empty: of any
-- Returns: OK, the code's value | DUPLICATE, the code's value (it is another account's, and stays) | MISSING (no such
--       code, or used already)
-- Guarantees: of all who use a code one gets its value.
-- Safe to repeat because: it is not: a code whose answer was lost is lost with it, and a person asks for another.
local found = redis.call('GET', K.code)
if not found then
  return {CODE.MISSING}
end
if A.expected ~= '' and cjson.decode(found).account ~= A.expected then
  return {CODE.DUPLICATE, found}
end
return {CODE.OK, redis.call('GETDEL', K.code)}
