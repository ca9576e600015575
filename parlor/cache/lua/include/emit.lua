-- emit(stream, holder, ...) appends an event and wakes its readers, if there are any; returns its id.
--   holder is the hash that remembers the log's last id (`event`) and where the log begins (`log_start`): a cursor
--   before `log_start` has missed something. Ids are explicit and never go back, also when the log has expired or the
--   clock was set back; they keep their log's epoch (log_begins). The log is the truth.
-- Uses A.event_ttl, A.event_max, and what log_begins uses.
--@include log_begins
--@include publication
local function emit(stream, holder, ...)
  -- A holder that does not remember may have forgotten: whatever cursors there are, they miss something.
  local known = redis.call('HMGET', holder, 'event', 'log_start')
  local last = known[1] or log_begins(redis.call('HGET', K.partition, 'incarnation'))
  local now = tonumber(A.now)
  local last_ms, last_n = string.match(last, '^(%d+)%-(%d+)$')
  local ms, n = now, math.max(log_epoch(last), log_epoch(known[2] or last))
  last_ms = tonumber(last_ms)
  if last_ms >= ms then
    ms, n = last_ms, math.max(tonumber(last_n) + 1, n)
  end
  local id = string.format('%.0f-%.0f', ms, n)
  redis.call('XADD', stream, id, ...)
  local length = redis.call('XLEN', stream)
  if length == 1 then
    redis.call('HSET', holder, 'event', id, 'log_start', last)
  else
    redis.call('HSET', holder, 'event', id)
  end
  if length > tonumber(A.event_max) then
    redis.call('XTRIM', stream, 'MAXLEN', '~', math.floor(tonumber(A.event_max) * 3 / 4))
    redis.call('HSET', holder, 'log_start', redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1])
  end
  -- Once in a second is enough: events come in bursts, and each renewal is written to the append-only file.
  if length == 1 or math.floor(last_ms / 1000) ~= math.floor(now / 1000) then
    redis.call('PEXPIRE', stream, A.event_ttl)
  end
  -- Whoever subscribes later reads the log first. Where servers replicate, readers may be on another one.
  if REPLICATED or redis.call('PUBSUB', 'NUMSUB', stream)[2] > 0 then
    redis.call('PUBLISH', stream, publication(last, id, ...))
  end
  return id
end
