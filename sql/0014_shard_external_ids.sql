-- 0014_shard_external_ids: the ids that other programs have for rooms
-- Database: shard
-- Design: 1. NULL for a room without one, and for rooms of older programs. 2. Not a unique key: a deleted room keeps
--   its id beside the room that has it next, and a batch creates before it deletes. Which room has an id is decided in
--   Redis, in the step that creates the room. 3. One statement, so that column and key are there together.
-- Parameters: none
-- Result sets: none
-- Errors: 1060 when the column is there; MySQL has no ADD COLUMN IF NOT EXISTS.
-- Safe to repeat because: the runner takes error 1060 of an ADD COLUMN as done.

ALTER TABLE rooms
  ADD COLUMN external_id VARCHAR(128) NULL,
  ADD KEY rooms_by_external (account_db_key, external_id);
