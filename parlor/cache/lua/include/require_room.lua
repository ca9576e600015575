-- require_room() gives nil when the room is here, alive and claimed by A.claim; else the refusing code.
--   An empty claim is refused, also in a room that nobody owns. Who acts without owning the room has scripts of its
--   own (operator_*.lua), which require the room to be alive and take no claim.
-- Uses A.claim and what require_room_alive uses.
--@include require_room_alive
local function require_room()
  local refused, held = require_room_alive()
  if refused then
    return refused
  end
  if A.claim == '' or held ~= A.claim then
    return CODE.FENCED
  end
  return nil
end
