-- What: a new room: CREATING, then PENDING with its create queued; on top of its account's list.
-- KEYS: partition queue room messages states account rooms account_events idempotency
-- ARGV: room owner db_key request title persona external metadata instead_of now by installation fingerprint
--       idempotency_ttl backlog_limit rooms_limit stored stored_room incarnation event_ttl event_max
--       metadata is JSON, '' for none; rooms_limit is '' for any number;
--       stored is how many rooms the shard has, '' when it was not asked;
--       stored_room is its room with the external id; the room instead_of had that id and is known to be deleted;
--       incarnation is the partition's from before the shard was asked
-- Returns: OK | DUPLICATE, then the room's id | PARTITION_UNKNOWN | OVERLOADED | GONE | IDEMPOTENCY
--          | FOREIGN | LIMIT | OUT_OF_STEP (Redis has been lost since the shard was asked)
--          | MISSING (ask the shard how many rooms there are, and whether one has the external id)
-- Guarantees: the room is in the list, in the queue and in the account's events, or in none of them; one
--       of the account's rooms at most has the external id, deleted ones aside.
-- Safe to repeat because: a room that is there is left alone, and one that was made with the idempotency key or the
--       external id is found.
--@include require_partition
--@include log_begins
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
local field = 'x:' .. A.external
if A.external ~= '' then
  local has = redis.call('HGET', K.account, field)
  if not has or has == A.instead_of then
    if A.stored == '' then
      return {CODE.MISSING}
    elseif redis.call('HGET', K.partition, 'incarnation') ~= A.incarnation then
      return {CODE.OUT_OF_STEP}
    end
    has = A.stored_room ~= '' and A.stored_room
  end
  if has then
    remember('room', has)
    return {CODE.DUPLICATE, has}
  end
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
local begins = log_begins(redis.call('HGET', K.partition, 'incarnation'))
redis.call('HSET', K.room, 'account', A.owner, 'db_key', A.db_key, 'title', A.title, 'persona', A.persona,
  'external', A.external, 'metadata', A.metadata,
  'created', A.now, 'active', '', 'count', 0, 'seq', 0, 'persisted', 0, 'version', 1,
  'state', 'CREATING', 'claim', '', 'event', begins, 'log_start', begins)
move_room('PENDING', A.by)
enqueue('CHAT_ROOM_CREATE', 'title', A.title, 'persona', A.persona, 'at', A.now, 'version', 1, 'external', A.external,
  'metadata', A.metadata)
if A.external ~= '' then
  redis.call('HSET', K.account, field, A.room)
end
touch_list(A.now)
emit(K.account_events, K.account, 'type', 'room.created', 'room', A.room)
remember('room', A.room)
return {CODE.OK, A.room}
