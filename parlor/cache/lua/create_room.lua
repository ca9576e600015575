-- What: a new room: CREATING, then PENDING with its create queued; on top of its account's list.
-- KEYS: partition queue room messages states account rooms account_events idempotency
-- ARGV: room owner db_key title persona now by installation fingerprint idempotency_ttl backlog_limit rooms_limit
--       stored event_ttl event_max
--       rooms_limit is '' for any number; stored is how many rooms the shard has, '' when it was not asked
-- Returns: OK | DUPLICATE, then the room's id | PARTITION_UNKNOWN | OVERLOADED | GONE | IDEMPOTENCY
--          | FOREIGN | LIMIT | MISSING (the list is not complete: ask the shard how many rooms there are)
-- Guarantees: the room is in the list, in the queue and in the account's events, or in none of them.
-- Safe to repeat because: a room that is there is left alone, and one that was made with the idempotency key is found.
--@include require_partition
--@include emit
--@include enqueue
--@include transition
--@include touch_list
--@include idempotency
local refused = require_partition()
if refused then
  return {refused}
end
local known = answered('room')
if known then
  return known
end
local state = redis.call('HGET', K.room, 'state')
if state then
  return {(state == 'DELETING' or state == 'DELETED') and CODE.GONE or CODE.DUPLICATE, A.room}
end
if redis.call('XLEN', K.queue) >= tonumber(A.backlog_limit) then
  return {CODE.OVERLOADED}
end
if A.rooms_limit ~= '' then
  local count = redis.call('ZCARD', K.rooms)
  if count == 0 or redis.call('HEXISTS', K.account, 'complete') == 0 then
    if A.stored == '' then
      return {CODE.MISSING}
    end
    count = math.max(count, tonumber(A.stored))
  end
  if count >= tonumber(A.rooms_limit) then
    return {CODE.LIMIT}
  end
end
redis.call('HSET', K.room, 'account', A.owner, 'db_key', A.db_key, 'title', A.title, 'persona', A.persona,
  'created', A.now, 'active', '', 'count', 0, 'seq', 0, 'persisted', 0, 'version', 1, 'state', 'CREATING', 'claim', '',
  'event', A.now .. '-0', 'log_start', A.now .. '-0')
move_room('PENDING', A.by)
enqueue('CHAT_ROOM_CREATE', 'title', A.title, 'persona', A.persona, 'at', A.now, 'version', 1)
touch_list(A.now)
emit(K.account_events, K.account, 'type', 'room.created', 'room', A.room)
remember('room', A.room)
return {CODE.OK, A.room}
