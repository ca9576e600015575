-- What: one command on keys of a partition, where servers fail over: a closed partition is not read.
-- KEYS: *names
-- ARGV: *command
-- Returns: OK, what the command returns
-- Guarantees: those of the command.
-- Safe to repeat because: it reads, or removes keys.
return {CODE.OK, redis.call(unpack(REST))}
