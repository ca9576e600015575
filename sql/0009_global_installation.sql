-- 0009_global_installation: which installation these databases are
-- Database: global
-- Design: one row, decided by the first migration that finds none, and never changed. Redis, the data directory and
--   each shard have the same id, and are refused when they have another one. shard_id is 0 here.
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
