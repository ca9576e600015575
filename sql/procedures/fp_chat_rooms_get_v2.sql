-- fp_chat_rooms_get_v2: an account's rooms, newest activity first
-- Database: shard
-- Design: a keyset range scan of rooms_by_activity; a deleted room has no activity and so is not in the range.
-- Parameters: p_account_db_key, p_limit rows at most; p_activity and p_room_id: the last row of the page before, or
--   NULL.
-- Result sets: one: room_id, account_id, account_db_key, title, ai_persona, created_at, last_message_at,
--   message_count, version, last_seq, external_id (NULL for none). room_id is BINARY(16); times are unix milliseconds.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_rooms_get_v2;

DELIMITER //
CREATE PROCEDURE fp_chat_rooms_get_v2(
  IN p_account_db_key BIGINT, IN p_limit INT, IN p_activity BIGINT, IN p_room_id VARCHAR(64)
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_activity BIGINT DEFAULT COALESCE(p_activity, 9223372036854775807);
  DECLARE v_room_id BINARY(16) DEFAULT UNHEX(COALESCE(REPLACE(p_room_id, '-', ''), REPEAT('f', 32)));
  SELECT room_id, account_id, account_db_key, title, ai_persona, created_at, last_message_at, message_count, version,
         last_seq, external_id
    FROM rooms
   WHERE account_db_key = p_account_db_key AND activity <= v_activity
     AND (activity < v_activity OR room_id < v_room_id)
   ORDER BY activity DESC, room_id DESC
   LIMIT p_limit;
END
//
DELIMITER ;
