-- emit(stream, holder, ...) appends an event and wakes its readers; returns its id.
--   holder is the hash that remembers the log's last id (`event`) and where the log begins (`log_start`): a cursor
--   before `log_start` has missed something. Ids are explicit and never go back, also when the log has expired or the
--   clock was set back. The log is the truth. The publication carries the entry behind the id before it, so that a
--   reader that is in step need not read; a large entry is only announced.
-- Uses A.now, A.event_ttl, A.event_max.
local PUBLISHED = 4096
local function netstring(value)
  local said = type(value) == 'number' and string.format('%.17g', value) or value
  return #said .. ':' .. said
end
local function emit(stream, holder, ...)
  -- A holder that does not remember may have forgotten: whatever cursors there are, they miss something.
  local last = redis.call('HGET', holder, 'event') or (A.now .. '-0')
  local now = tonumber(A.now)
  local ms, n = now, 0
  local last_ms, last_n = string.match(last, '^(%d+)%-(%d+)$')
  last_ms = tonumber(last_ms)
  if last_ms >= ms then
    ms, n = last_ms, tonumber(last_n) + 1
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
  local said, size = {}, 0
  for _, field in ipairs({last, id, ...}) do
    if size + #tostring(field) > PUBLISHED then
      size = math.huge  -- Not copied, for it would not be sent.
      break
    end
    said[#said + 1] = netstring(field)
    size = size + #said[#said]
  end
  redis.call('PUBLISH', stream, size <= PUBLISHED and table.concat(said) or '')
  return id
end
