-- What: a sign of life of a call that has reserved something, with what it has used so far.
-- KEYS: account
-- ARGV: message alive_until input output cost
-- Returns: OK | MISSING (it was settled, or given up by the sweep)
-- Guarantees: if the caller dies, the sweep counts what it told last.
-- Safe to repeat because: it only replaces what was told.
if redis.call('HEXISTS', K.account, 'l:' .. A.message) == 0 then
  return {CODE.MISSING}
end
redis.call('HSET', K.account, 'l:' .. A.message, table.concat({A.alive_until, A.input, A.output, A.cost}, ' '))
return {CODE.OK}
