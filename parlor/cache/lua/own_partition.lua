-- What: makes a partition this installation's, unless it is another one's.
-- KEYS: partition
-- ARGV: installation
-- Returns: OK | FOREIGN
-- Guarantees: a partition belongs to one installation for as long as Redis remembers it (I21).
-- Safe to repeat because: the second time it is.
--@include require_installation
local refused = require_installation()
if refused then
  return {refused}
end
redis.call('HSETNX', K.partition, 'installation', A.installation)
return {CODE.OK}
