-- 0026_shard_room_metadata: what another program notes of a room
-- Database: shard
-- Design: 1. NULL for a room without any, and for rooms of older programs. 2. JSON as text, as the metadata of messages
--   is: what a client sent comes back as it was. 3. MEDIUMTEXT: 16 pairs may fill what TEXT holds when every character
--   is escaped.
-- Parameters: none
-- Result sets: none
-- Errors: 1060 when the column is there; MySQL has no ADD COLUMN IF NOT EXISTS.
-- Safe to repeat because: the runner takes error 1060 of an ADD COLUMN as done.

ALTER TABLE rooms ADD COLUMN metadata MEDIUMTEXT NULL;
