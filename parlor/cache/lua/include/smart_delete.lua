-- smart_delete() deletes one message by its state; returns the script's answer. The room has been required before.
-- Uses K.account_events, A.by, A.message, A.seq, A.stored, A.tombstone and what drop_message uses.
--@include emit
--@include drop_message
local function smart_delete()
  local state = redis.call('HGET', K.states, 's:' .. A.seq)
  if not state then
    if A.stored ~= '1' then
      return {CODE.NO_MESSAGE}
    end
    state = 'SENT'
    redis.call('HSET', K.states, 's:' .. A.seq, state, 'i:' .. A.message, A.seq, 'm:' .. A.seq, A.message)
  end
  if state == 'DELETING' or state == 'DELETED' then
    return {CODE.DUPLICATE, state}
  end
  local outcome, now_is = drop_message(A.seq, A.message, A.tombstone, A.by)
  emit(K.account_events, K.account, 'type', 'room.updated', 'room', A.room)
  return {CODE.OK, now_is, outcome}
end
