-- require_installation() gives nil when the partition is this installation's, or nobody's; else the refusing code.
--   One that is nobody's is from before there were ids, or new: who opens or holds it makes it its installation's.
-- Uses K.partition, A.installation.
local function require_installation()
  local held = redis.call('HGET', K.partition, 'installation')
  if A.installation == '' or (held and held ~= A.installation) then
    return CODE.FOREIGN
  end
  return nil
end
