-- 0010_shard_installation: which installation this shard belongs to, and which of its shards it is
-- Database: shard
-- Design: one row. The id is the global database's; shard_id is the number under which the first migration found this
--   database, so that URLs in another order are refused.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS installation (
  id              INT         NOT NULL,
  installation_id VARCHAR(36) NOT NULL,
  shard_id        INT         NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
