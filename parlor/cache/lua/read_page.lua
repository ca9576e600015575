-- What: the part of a page of history that the cache holds, with the states and the cursor in the event log.
-- KEYS: room messages states draft
-- ARGV: after before limit
--       a page is either the newest `limit` messages below `before` ('' for the newest of all), or, with `after`, the
--       oldest `limit` above it
-- Returns: OK, then cursor, last seq, persisted seq, first seq of the page, last seq of the page, owner account,
--          {seq, state or '', doc or '', ...} ascending, live message:attempt or '', its draft, and the
--          draft's layout or ''
--          | MISSING | GONE, owner account
-- Guarantees: page, states and cursor are of one moment: events after the cursor continue it.
-- Safe to repeat because: it only reads.
local room = redis.call('HMGET', K.room, 'state', 'seq', 'persisted', 'event', 'account', 'live',
  'live_layout')
if not room[1] then
  return {CODE.MISSING}
end
if room[1] == 'DELETING' or room[1] == 'DELETED' then
  return {CODE.GONE, room[5]}
end
local last, limit = tonumber(room[2]), tonumber(A.limit)
local low, high
if A.after ~= '' then
  low = tonumber(A.after) + 1
  high = math.min(last, low + limit - 1)
else
  high = last
  if A.before ~= '' then
    high = math.min(last, tonumber(A.before) - 1)
  end
  low = math.max(1, high - limit + 1)
end
local rows = {}
if low <= high then
  local docs, states = {}, {}
  for seq = low, high do
    docs[#docs + 1] = 'd:' .. seq
    states[#states + 1] = 's:' .. seq
  end
  docs = redis.call('HMGET', K.messages, unpack(docs))
  states = redis.call('HMGET', K.states, unpack(states))
  for i = 1, #docs do
    rows[#rows + 1] = low + i - 1
    rows[#rows + 1] = states[i] or ''
    rows[#rows + 1] = docs[i] or ''
  end
end
local live = room[6] or ''
local text = live ~= '' and redis.call('GET', K.draft) or ''
return {CODE.OK, room[4], last, tonumber(room[3]), low, high, room[5], rows, live, text, room[7] or ''}
