-- log_begins(incarnation) gives the id before the first event of a log that begins now; log_epoch(id) gives the second
--   number that the first event of a millisecond has in that id's log.
--   That number carries the incarnation in which the log began, its epoch: when Redis has lost a log, a cursor of it is
--   known as such whatever the clocks say that made the ids (parlor/model/cursors.py).
-- Uses A.now.
local function log_begins(incarnation)
  return string.format('%s-%.0f', A.now, tonumber(incarnation or '0') * EPOCH)
end
local function log_epoch(id)
  return math.floor(tonumber(string.match(id, '%-(%d+)$')) / EPOCH) * EPOCH
end
