-- note_applied() remembers the shard's watermark, by which a shard that has gone back is noticed.
-- Uses K.partition, A.applied.
local function note_applied()
  local function position(text)
    local incarnation, number = string.match(text or '', '^(%d+)%-(%d+)$')
    return tonumber(incarnation or '0'), tonumber(number or '0')
  end
  local incarnation, number = position(A.applied)
  local known_incarnation, known_number = position(redis.call('HGET', K.partition, 'applied'))
  if incarnation > known_incarnation or (incarnation == known_incarnation and number > known_number) then
    redis.call('HSET', K.partition, 'applied', A.applied)
  end
end
