-- What an account may use and what it has reserved (I23). The counters are in the account's hash, exact for one day and
--   one month; where they are not (`budget_day` is missing), the caller loads them from the shard.
-- check_budget(message) finds out whether an attempt may have what A.budget asks for; returns what hold_budget takes,
--   or nil and the refusal. Without a budget (A.budget is '') everything may be had and nothing is held.
-- hold_budget(message, room, attempt, asked) reserves it for the message, instead of what the message had; `attempt` is
--   the one that begins with it, 0 while it waits. Returns the tokens that the answer may have, or '' for any number.
-- A.budget: day month, limits (tokens of the day, of the month, cost of the day, of the month; '-' for none), then what
--   is asked for: tokens of the prompt, of the answer, and the price of a token of each. Costs are billionths.
-- Uses K.reserving, A.budget, A.owner, A.db_key, A.now and what reservation uses.
--@include reservation
local KINDS = {'day_tokens', 'month_tokens', 'day_cost', 'month_cost'}
local LEAST_ANSWER = 16
local LOOK_AFTER = 20000  -- ms until a sweep looks whether what is reserved is still needed.

-- The periods that the counters are of, and those that they are to be of: a clock that is a little behind counts for
-- the later one.
local function periods(words)
  local has = redis.call('HMGET', K.account, 'budget_day', 'budget_month', 'day_tokens', 'month_tokens', 'day_cost',
    'month_cost', 'held:day_tokens', 'held:month_tokens', 'held:day_cost', 'held:month_cost')
  local day, month = tonumber(has[1]), tonumber(has[2])
  if not day or day > words[1] + 1 then
    return nil
  end
  return {day = math.max(day, words[1]), month = math.max(month, words[2]), of_day = day, of_month = month, has = has}
end

local function check_budget(message)
  if A.budget == '' then
    return {}
  end
  local words = {}
  for word in string.gmatch(A.budget, '%S+') do
    words[#words + 1] = tonumber(word) or false
  end
  local at = periods(words)
  if not at then
    return nil, {CODE.UNCOUNTED}
  end
  local prompt, answer, input_price, output_price = words[7], words[8], words[9], words[10]
  local least = math.min(answer, LEAST_ANSWER)
  local own = reservation(message)
  for i, kind in ipairs(KINDS) do
    local limit, is_day = words[2 + i], i % 2 == 1
    if limit then
      local same = is_day and at.day == at.of_day or not is_day and at.month == at.of_month
      local used = same and tonumber(at.has[2 + i]) or 0
      local held = same and tonumber(at.has[6 + i]) or 0
      if own and (is_day and own.day == at.day or not is_day and own.month == at.month) then
        held = held - (i <= 2 and own.tokens or own.cost)
      end
      local may = answer
      local function fits(left)
        if i <= 2 then
          may = left - prompt
        elseif output_price > 0 then
          may = math.floor((left - prompt * input_price) / output_price)
        else
          may = prompt * input_price <= left and answer or -1
        end
        return may >= least
      end
      local later = fits(limit - used) and '1' or ''
      if not fits(limit - used - held) then
        return nil, {CODE.QUOTA, kind, later}
      end
      answer = math.min(answer, may)
    end
  end
  return {
    at = at, day = at.day, month = at.month, prompt = prompt, answer = answer, input_price = input_price,
    output_price = output_price, tokens = prompt + answer, cost = prompt * input_price + answer * output_price,
  }
end

local function hold_budget(message, room, attempt, asked)
  if not asked.day then
    return ''
  end
  release(message)
  if asked.day ~= asked.at.of_day then
    redis.call('HSET', K.account, 'budget_day', asked.day, 'day_tokens', 0, 'day_cost', 0, 'held:day_tokens', 0,
      'held:day_cost', 0)
  end
  if asked.month ~= asked.at.of_month then
    redis.call('HSET', K.account, 'budget_month', asked.month, 'month_tokens', 0, 'month_cost', 0,
      'held:month_tokens', 0, 'held:month_cost', 0)
  end
  -- Reserved on a day that has not begun by this clock: its first moment.
  local since = math.max(tonumber(A.now), asked.day * 86400000)
  redis.call('HSET', K.account, 'r:' .. message, table.concat({attempt, room, asked.day, asked.month,
    digits(since), digits(asked.prompt), digits(asked.answer), digits(asked.input_price), digits(asked.output_price)},
    ' '))
  count('held:', asked, asked.tokens, asked.cost, 1)
  redis.call('ZADD', K.reserving, 'NX', A.now + LOOK_AFTER, A.db_key .. ' ' .. A.owner)
  return asked.answer
end
