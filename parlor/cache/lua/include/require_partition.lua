-- require_partition() gives nil when the partition is open and this installation's; else the refusing code.
-- Uses what require_installation uses.
--@include require_installation
local function require_partition()
  if redis.call('HEXISTS', K.partition, 'incarnation') == 0 then
    return CODE.PARTITION_UNKNOWN
  end
  return require_installation()
end
