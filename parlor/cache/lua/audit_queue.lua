-- What: finds stranded entries of a queue: delivered, and held by no writer, so that none would be given them again.
-- KEYS: queue
-- ARGV: limit
--       how many entries are looked at, oldest first
-- Returns: OK, their ids
-- Guarantees: entries and holders are of the same moment.
-- Safe to repeat because: it only reads.
if redis.call('EXISTS', K.queue) == 0 then
  return {CODE.OK, {}}
end
local delivered = '0-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', K.queue)) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then
      delivered = group[i + 1]
    end
  end
end
local entries = redis.call('XRANGE', K.queue, '-', delivered, 'COUNT', A.limit)
if not entries[1] then
  return {CODE.OK, {}}
end
local held = {}
for _, entry in ipairs(redis.call('XPENDING', K.queue, 'writer', entries[1][1], entries[#entries][1], A.limit)) do
  held[entry[1]] = true
end
local stranded = {}
for _, entry in ipairs(entries) do
  if not held[entry[1]] then
    stranded[#stranded + 1] = entry[1]
  end
end
return {CODE.OK, stranded}
