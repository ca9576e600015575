-- What: a ticket, with which a reader opens one event stream without a token.
-- KEYS: partition ticket
-- ARGV: installation owner path key issued ends lifetime
--       key and issued are of the token that it was asked for with, ends is when its last stream ends, in
--       ms; lifetime is the time until it has to be used first
-- Returns: OK | FOREIGN
-- Guarantees: a ticket that is not used in time is gone.
-- Safe to repeat because: the same ticket says the same.
--@include require_installation
local foreign = require_installation()
if foreign then
  return {foreign}
end
redis.call('HSET', K.ticket, 'account', A.owner, 'path', A.path, 'key', A.key, 'issued', A.issued,
  'ends', A.ends)
redis.call('PEXPIRE', K.ticket, A.lifetime)
return {CODE.OK}
