-- What: takes one room's operations of a batch: PENDING to PROCESSING, and which saves are still wanted.
-- KEYS: lease room states
-- ARGV: lease now *seqs
--       seqs: the seq of each CHAT_MESSAGE_SAVE, or 'room' for the CHAT_ROOM_CREATE
-- Returns: OK, {1 (write it) or 0 (deleted meanwhile: it gets its tombstone) for each}
--          | LEASE_LOST
-- Guarantees: a message that was cancelled before it was taken is never written with its content.
-- Safe to repeat because: what is PROCESSING stays so.
--@include require_lease
--@include transition
local refused = require_lease()
if refused then
  return {refused}
end
local wanted = {}
local room_state = redis.call('HGET', K.room, 'state')
local gone = room_state == 'DELETING' or room_state == 'DELETED'
for i, seq in ipairs(REST) do
  if seq == 'room' then
    move_room('PROCESSING', 'writer')
    wanted[i] = 1
  else
    local state = redis.call('HGET', K.states, 's:' .. seq)
    if gone or state == 'DELETING' or state == 'DELETED' then
      wanted[i] = 0
    else
      move_message(seq, 'PROCESSING', 'writer')
      wanted[i] = 1
    end
  end
end
return {CODE.OK, wanted}
