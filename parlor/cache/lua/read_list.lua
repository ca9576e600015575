-- What: a page of an account's list of rooms, newest activity first, with the cursor of its events.
-- KEYS: account rooms
-- ARGV: before_activity before_room limit
--       before_activity is '' for the first page
-- Returns: OK | MISSING (not complete: fill it first), then cursor, total, {room id, activity, ...}
-- Guarantees: page and cursor are of one moment; rooms with the same activity are ordered by the room's id.
-- Safe to repeat because: it only reads.
if redis.call('EXISTS', K.rooms) == 0 or redis.call('HEXISTS', K.account, 'complete') == 0 then
  return {CODE.MISSING}
end
local first, skip_equal = 0, 0
if A.before_activity ~= '' then
  first = redis.call('ZCOUNT', K.rooms, '(' .. A.before_activity, '+inf')
  skip_equal = redis.call('ZCOUNT', K.rooms, A.before_activity, A.before_activity)
end
local found = redis.call('ZREVRANGE', K.rooms, first, first + skip_equal + tonumber(A.limit) - 1, 'WITHSCORES')
local page = {}
for i = 1, #found, 2 do
  if skip_equal == 0 or tonumber(found[i + 1]) < tonumber(A.before_activity) or found[i] < A.before_room then
    if #page < 2 * tonumber(A.limit) then
      page[#page + 1] = found[i]
      page[#page + 1] = found[i + 1]
    end
  end
end
return {CODE.OK, redis.call('HGET', K.account, 'event') or '0-0', redis.call('ZCARD', K.rooms), page}
