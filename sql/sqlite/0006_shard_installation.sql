-- 0006_shard_installation: which installation this shard belongs to, and which of its shards it is
-- Database: shard
-- Design: as sql/0010_shard_installation.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS installation (
  id              INTEGER PRIMARY KEY,
  installation_id TEXT    NOT NULL CHECK (length(installation_id) <= 36),
  shard_id        INTEGER NOT NULL
) STRICT;
