-- 0021_shard_partition_homes: which partitions came to this shard or left it, and what changes while one is copied
-- Database: shard
-- Design: as sql/0025_shard_partition_homes.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS partition_homes (
  partition_id INTEGER NOT NULL PRIMARY KEY,
  generation   INTEGER NOT NULL,
  state        TEXT    NOT NULL,
  runner       TEXT    NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS partition_changes (
  change_id      INTEGER PRIMARY KEY AUTOINCREMENT,
  room_id        BLOB,
  account_db_key INTEGER,
  seq            INTEGER NOT NULL
) STRICT;
