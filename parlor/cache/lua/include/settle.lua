-- settle(message, input, output, cost) gives back what is reserved for the message and counts what was used instead, on
--   the day on which it was reserved; returns when that was. What was used without a reservation makes the counters
--   unknown: they are loaded from the shard again, for which it is queued.
-- charged(id) notes the last operation in the queue that counts something: the shard's numbers are exact once it is
--   committed.
-- charge_cut_off(message, had) settles an attempt that began and whose owner did not live to say what it used: its
--   prompt and the `had` tokens of its text; queued for the shard too. Does nothing for an attempt that did not begin.
-- Uses K.account, A.now and what reservation and enqueue use.
--@include reservation
--@include enqueue
local function settle(message, input, output, cost)
  local own = release(message)
  if input + output + cost > 0 then
    if own then
      count('', own, input + output, cost, 1)
    else
      redis.call('HDEL', K.account, 'budget_day')
    end
  end
  return own and own.at or A.now
end

local function charged(id)
  redis.call('HSET', K.account, 'charged', id)
end

local function charge_cut_off(message, had)
  local own = reservation(message)
  if not own or own.attempt == 0 then
    return
  end
  local output = tonumber(had)
  local cost = own.prompt * own.input_price + output * own.output_price
  settle(message, own.prompt, output, cost)
  charged(enqueue('CHAT_USAGE_ADD', 'input', digits(own.prompt), 'output', digits(output), 'cost', digits(cost),
    'at', own.at))
end
