-- 0010_shard_external_ids: the ids that other programs have for rooms
-- Database: shard
-- Design: as sql/0014.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

ALTER TABLE rooms ADD COLUMN external_id TEXT NULL CHECK (length(external_id) <= 128);
CREATE INDEX IF NOT EXISTS rooms_by_external ON rooms (account_db_key, external_id);
