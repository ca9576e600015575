-- settle_call(message, input, output, cost) ends a call that belongs to no turn: what it used is counted here and
--   queued for the shard. In the queue it stands as the room A.room, which there is not: nothing of it stays.
-- Uses what settle uses.
--@include settle
--@include enqueue
local function settle_call(message, input, output, cost)
  redis.call('HDEL', K.account, 'l:' .. message)
  local since = settle(message, input, output, cost)
  if input + output + cost > 0 then
    charged(enqueue('CHAT_USAGE_ADD', 'input', input, 'output', output, 'cost', cost, 'at', since))
    redis.call('DEL', K.room)
  end
end
