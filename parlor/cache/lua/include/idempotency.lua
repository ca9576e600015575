-- answered(...) gives nil for a request without an idempotency key or with a new one; else {IDEMPOTENCY} when the key
--   came with another request, or {DUPLICATE, ...}: the named fields of the first answer.
-- remember(...) keeps an answer, as fields and values. It belongs into the step that makes the change.
-- Use K.idempotency, A.fingerprint ('' for no key) and A.idempotency_ttl.
local function answered(...)
  if A.fingerprint == '' then
    return nil
  end
  local known = redis.call('HMGET', K.idempotency, 'fingerprint', ...)
  if not known[1] then
    return nil
  end
  if known[1] ~= A.fingerprint then
    return {CODE.IDEMPOTENCY}
  end
  known[1] = CODE.DUPLICATE
  return known
end

local function remember(...)
  if A.fingerprint ~= '' then
    redis.call('HSET', K.idempotency, 'fingerprint', A.fingerprint, ...)
    redis.call('PEXPIRE', K.idempotency, A.idempotency_ttl)
  end
end
