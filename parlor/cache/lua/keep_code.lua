-- What: a sign-in code, for which its holder gets a session once.
-- KEYS: partition code
-- ARGV: installation value lifetime
--       value is JSON: the account, and its session, sealed; lifetime is in ms
-- Returns: OK | FOREIGN
-- Guarantees: a code that is not used in time is gone.
-- Safe to repeat because: the same code says the same.
--@include require_installation
local foreign = require_installation()
if foreign then
  return {foreign}
end
redis.call('SET', K.code, A.value, 'PX', A.lifetime)
return {CODE.OK}
