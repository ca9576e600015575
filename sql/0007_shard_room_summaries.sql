-- 0007_shard_room_summaries: the running summary of a room's older turns
-- Database: shard
-- Design: 1. Columns of rooms: a room that is loaded comes with its summary. Lists do not read them.
--   2. summary is NULL until there is one. Without a default on a text column, which would be an expression, no server
--      has to rebuild the table.
--   3. One statement adds all four, so that they are there together or not at all.
-- Parameters: none
-- Result sets: none
-- Errors: 1060 when the columns are there; MySQL has no ADD COLUMN IF NOT EXISTS.
-- Safe to repeat because: the runner takes error 1060 of an ADD COLUMN as done.

ALTER TABLE rooms
  ADD COLUMN summary         MEDIUMTEXT NULL,
  ADD COLUMN summary_through BIGINT     NOT NULL DEFAULT 0,
  ADD COLUMN summary_at      BIGINT     NULL,
  ADD COLUMN summary_version BIGINT     NOT NULL DEFAULT 0;
