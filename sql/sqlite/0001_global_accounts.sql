-- 0001_global_accounts: who there is, and where they live
-- Database: global
-- Design: as sql/0001_global_accounts.sql; the limits that MySQL's types set are CHECKs here, so that both refuse the
--   same rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: every statement says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS accounts (
  account_db_key INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id     TEXT    NOT NULL UNIQUE CHECK (length(account_id) <= 255),
  partition_id   INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS shard_map (
  partition_id INTEGER PRIMARY KEY,
  shard_id     INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS meta (
  id            INTEGER PRIMARY KEY,
  partitions    INTEGER NOT NULL,
  schema_compat INTEGER NOT NULL
) STRICT;
