-- lease_name(token) is how the lease's key names its holder: where servers fail over it is held in one history only.
-- require_lease() gives nil while A.lease holds the partition; else the refusing code.
-- require_history() gives nil on the server whose history A.history is; else the refusing code: a connection may lead
--   to another one behind our back.
-- Uses K.lease, A.lease, A.history.
--@include history
local function lease_name(token)
  return REPLICATED and token .. '@' .. (history() or '') or token
end
local function require_lease()
  local held = redis.call('GET', K.lease)
  if A.lease == '' or not held or string.match(held, '^[^ ]+') ~= lease_name(A.lease) then
    return CODE.LEASE_LOST
  end
  return nil
end
local function require_history()
  return REPLICATED and A.history ~= history() and CODE.LEASE_LOST or nil
end
