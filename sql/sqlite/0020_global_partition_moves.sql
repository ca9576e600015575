-- 0020_global_partition_moves: partitions that move from one shard to another
-- Database: global
-- Design: as sql/0024_global_partition_moves.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS partition_moves (
  partition_id INTEGER NOT NULL PRIMARY KEY,
  from_shard   INTEGER NOT NULL,
  to_shard     INTEGER NOT NULL,
  generation   INTEGER NOT NULL,
  step         TEXT    NOT NULL,
  copied       TEXT    NOT NULL,
  runner       TEXT    NOT NULL,
  started_at   INTEGER NOT NULL,
  finished_at  INTEGER
) STRICT;

ALTER TABLE shard_map ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
