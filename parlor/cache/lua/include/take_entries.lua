-- take_entries(width) takes entries out of the queue whose ids are in REST, the first of each `width` values; returns
--   how many were still there.
-- Uses K.queue.
local function take_entries(width)
  local ids, taken = {}, 0
  for i = 1, #REST, width do
    ids[#ids + 1] = REST[i]
  end
  for i = 1, #ids, 1000 do  -- `unpack` has a limit.
    local to = math.min(i + 999, #ids)
    redis.call('XACK', K.queue, 'writer', unpack(ids, i, to))
    taken = taken + redis.call('XDEL', K.queue, unpack(ids, i, to))
  end
  return taken
end
