-- What is known of a reply's calls of tools while it has not ended: how far each has come, its digest, the key that it
--   was sent with, by which dispatch, and the request that decided it.
-- call_of(id) returns it, nil for a call that was not recorded or whose reply has ended.
-- put_call(seq, id, call) writes it; may_become(call, state) is whether the table of states has that step. A call that
--   was not recorded is one that was only proposed, or that cannot be made (FAILED).
-- forget_calls(seq) forgets those of a reply: whatever was not sent by then cannot be sent any more.
-- Uses K.states.
--@include words
local function call_of(id)
  local found = redis.call('HGET', K.states, 'c:' .. id)
  if not found then
    return nil
  end
  local words = words_of(found)
  return {state = words[1], digest = words[2], key = words[3], nonce = words[4], request = words[5]}
end

local function may_become(call, state)
  if not call then
    return state == 'failed' or is_legal('call', 'proposed', state)
  end
  return is_legal('call', call.state, state)
end

local function put_call(seq, id, call)
  local value = table.concat({call.state, call.digest, call.key or '-', call.nonce or '-', call.request or '-'}, ' ')
  if redis.call('HSET', K.states, 'c:' .. id, value) == 1 then
    local known = redis.call('HGET', K.states, 't:' .. seq)
    redis.call('HSET', K.states, 't:' .. seq, known and known .. ' ' .. id or id)
  end
end

local function forget_calls(seq)
  for _, id in ipairs(words_of(redis.call('HGET', K.states, 't:' .. seq) or '')) do
    redis.call('HDEL', K.states, 'c:' .. id)
  end
  redis.call('HDEL', K.states, 't:' .. seq)
end
