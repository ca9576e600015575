-- What: begins a run of the LLM for a reserved reply; from the second on, readers are told to forget what it said,
--       and what an attempt keeps of the one before is told at once.
-- KEYS: partition queue generating room messages states draft events account rooms reserving
-- ARGV: room owner db_key request claim now message seq attempt version text length layout had woken lease_until budget
--       event_ttl event_max *parts
--       version is what the attempt ends with, text the draft that it begins with ('' for nothing), length its
--       characters, layout what its parts are ('' for a single text); had is the tokens of what an attempt said whose
--       owner died before its end; woken is '1' for an attempt that waited for people, and goes on;
--       parts: what stands, an event for each: type, index, offset, and the text or the whole part
-- Returns: OK, the tokens that the answer may have or '' | PARTITION_UNKNOWN | MISSING | GONE | FENCED | ILLEGAL, state
--          | OUT_OF_STEP (the live attempt is of an earlier reply that has not ended)
--          | UNCOUNTED | QUOTA as append_turn, after an attempt whose owner died was charged
-- Guarantees: a room has one live attempt; deltas of any other are refused. A reply's attempts only go up. What is
--       kept is told before anything new. What a reply has recorded of its steps stays until it ends.
-- Safe to repeat because: an attempt that is live already is left as it is.
--@include require_room
--@include emit
--@include budget
--@include reservation
--@include settle
local refused = require_room()
if refused then
  return {refused}
end
local about = redis.call('HMGET', K.states, 's:' .. A.seq, 'v:' .. A.seq)
local state = about[1]
if state ~= 'COMPOSING' or tonumber(A.version) < tonumber(about[2] or '0') then
  return {CODE.ILLEGAL, state or ''}
end
local live = A.message .. ':' .. A.attempt
local found = redis.call('HGET', K.room, 'live') or ''
if found == live then
  local own = reservation(A.message)
  return {CODE.OK, own and own.answer or ''}
end
local message, attempt = string.match(found, '^([^:]+):(%d+)$')
if message == A.message and tonumber(attempt) > tonumber(A.attempt) then
  return {CODE.ILLEGAL, state}  -- A copy of a command that the network held back.
end
-- An owner that wrote an attempt of it which another owner had begun anew has given it up, and goes on behind it.
local before = message and message ~= A.message and redis.call('HGET', K.states, 'i:' .. message)
if before and tonumber(before) < tonumber(A.seq) and redis.call('HGET', K.states, 's:' .. before) == 'COMPOSING' then
  return {CODE.OUT_OF_STEP}
end
if A.budget ~= '' and redis.call('HEXISTS', K.account, 'budget_day') == 0 then
  return {CODE.UNCOUNTED}
end
charge_cut_off(A.message, A.had)
local asked, over = check_budget(A.message)
if over then
  return over
end
local may = hold_budget(A.message, A.room, A.attempt, asked)
redis.call('HSET', K.room, 'live', live, 'live_length', A.length)
redis.call('HDEL', K.room, 'live_layout', 'live_changes')
if message ~= A.message then
  redis.call('HDEL', K.room, 'live_since')
end
redis.call('DEL', K.draft)
redis.call('ZADD', K.generating, A.lease_until, A.room)
-- Readers of an attempt that goes on know what stands, unless its log is gone.
local told = A.woken == '1' and redis.call('EXISTS', K.events) == 1
if not told and (A.woken == '1' or tonumber(A.attempt) > 1) then
  emit(K.events, K.room, 'type', 'message.reset', 'message', A.message, 'attempt', A.attempt)
end
if A.text ~= '' then
  redis.call('SET', K.draft, A.text)
end
if A.layout ~= '' then
  redis.call('HSET', K.room, 'live_layout', A.layout)
end
for i = 1, told and 0 or #REST, 4 do
  emit(K.events, K.room, 'type', REST[i], 'message', A.message, 'attempt', A.attempt, 'index', REST[i + 1],
    'offset', REST[i + 2], REST[i] == 'message.part' and 'part' or 'text', REST[i + 3])
end
return {CODE.OK, may}
