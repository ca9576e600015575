-- history() gives the id of the history that this server goes on with; nil unless the server is a primary.
--   A replica that is promoted begins a new one, and so does a server that is started again: what it has may be older
--   than what was acknowledged. A partition is open in the history that it was opened in, and closed in any other.
-- Uses nothing.
local function history()
  local about = redis.call('INFO', 'replication')
  return string.find(about, 'role:master', 1, true) and string.match(about, 'master_replid:(%x+)')
end
