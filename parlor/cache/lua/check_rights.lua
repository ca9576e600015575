-- What: which commands this connection's user may not run on the installation's keys.
-- KEYS: partition
-- ARGV: *commands
--       each a name, with its subcommand behind a blank where it has one
-- Returns: {command, ...}, empty when the user may run all of them
-- Guarantees: it reads and writes no key.
-- Safe to repeat because: it only asks.
local missing = {}
-- Since 7.0; what stands in for a server in tests has no users.
if redis.acl_check_cmd then
  for _, command in ipairs(REST) do
    local name, subcommand = string.match(command, '^(%S+) ?(%S*)$')
    local first = subcommand ~= '' and subcommand or K.partition
    if not redis.acl_check_cmd(name, first, K.partition) then
      missing[#missing + 1] = command
    end
  end
end
return missing
