-- require_lease() gives nil while A.lease holds the partition; else the refusing code.
-- Uses K.lease, A.lease.
local function require_lease()
  local held = redis.call('GET', K.lease)
  if A.lease == '' or not held or string.match(held, '^[^ ]+') ~= A.lease then
    return CODE.LEASE_LOST
  end
  return nil
end
