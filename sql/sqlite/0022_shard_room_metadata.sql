-- 0022_shard_room_metadata: what another program notes of a room
-- Database: shard
-- Design: as sql/0026.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

ALTER TABLE rooms ADD COLUMN metadata TEXT NULL CHECK (length(CAST(metadata AS BLOB)) <= 16777215);
