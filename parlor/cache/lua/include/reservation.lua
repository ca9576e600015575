-- reservation(message) returns what is reserved for the message, or nil.
-- release(message) gives it back; returns it, or nil.
-- withdraw(message) gives it back unless its attempt has begun: then what it used is counted later, by its owner or by
--   the sweep.
-- count(prefix, periods, tokens, cost, sign) adds to the counters, of what is used ('') or reserved ('held:'), as far
--   as the day and the month are still counted. digits(number) is for Redis, which takes no other form.
-- Uses K.account.
--@include words
local function digits(number)
  return string.format('%.0f', number)
end

local function reservation(message)
  local found = redis.call('HGET', K.account, 'r:' .. message)
  if not found then
    return nil
  end
  local words = words_of(found)
  local own = {attempt = tonumber(words[1]), room = words[2], day = tonumber(words[3]), month = tonumber(words[4])}
  own.at, own.prompt, own.answer = words[5], tonumber(words[6]), tonumber(words[7])
  own.input_price, own.output_price = tonumber(words[8]), tonumber(words[9])
  own.tokens = own.prompt + own.answer
  own.cost = own.prompt * own.input_price + own.answer * own.output_price
  return own
end

local function count(prefix, of, tokens, cost, sign)
  local at = redis.call('HMGET', K.account, 'budget_day', 'budget_month')
  for _, period in ipairs({'day', 'month'}) do
    if tonumber(at[period == 'day' and 1 or 2]) == of[period] then
      for kind, amount in pairs({tokens = tokens, cost = cost}) do
        if amount ~= 0 then
          redis.call('HINCRBY', K.account, prefix .. period .. '_' .. kind, digits(sign * amount))
        end
      end
    end
  end
end

local function release(message)
  local own = reservation(message)
  if own then
    redis.call('HDEL', K.account, 'r:' .. message, 'o:' .. message)
    count('held:', own, own.tokens, own.cost, -1)
  end
  return own
end

local function withdraw(message)
  local own = reservation(message)
  if own and own.attempt == 0 then
    release(message)
  end
end
