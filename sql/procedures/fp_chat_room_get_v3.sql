-- fp_chat_room_get_v3: one room
-- Database: shard
-- Design: by primary key; whose room it is, the caller checks from account_db_key.
-- Parameters: p_room_id, 36 characters.
-- Result sets: one row like fp_chat_rooms_get_v2's, and after these columns: summary ('' for none), summary_through,
--   summary_at (NULL before the first one), summary_version, metadata (NULL for none); none for an unknown or deleted
--   room.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_get_v3;

DELIMITER //
CREATE PROCEDURE fp_chat_room_get_v3(IN p_room_id VARCHAR(64))
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT room_id, account_id, account_db_key, title, ai_persona, created_at, last_message_at, message_count, version,
         last_seq, external_id, COALESCE(summary, ''), summary_through, summary_at, summary_version,
         metadata
    FROM rooms
   WHERE room_id = UNHEX(REPLACE(p_room_id, '-', '')) AND deleted_at IS NULL;
END
//
DELIMITER ;
