-- 0005_global_installation: which installation these databases are
-- Database: global
-- Design: as sql/0009_global_installation.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS installation (
  id              INTEGER PRIMARY KEY,
  installation_id TEXT    NOT NULL CHECK (length(installation_id) <= 36),
  shard_id        INTEGER NOT NULL
) STRICT;
