-- fp_chat_message_find_v2: one message of a room by its id
-- Database: shard
-- Design: by the index messages_by_id.
-- Parameters: p_room_id, p_message_id, 36 characters each.
-- Result sets: one row like fp_chat_messages_get's, or none; none when the room is deleted.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_find_v2;

DELIMITER //
CREATE PROCEDURE fp_chat_message_find_v2(
  IN p_room_id VARCHAR(64), IN p_message_id VARCHAR(64)
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT m.seq, m.message_id, m.sender_type, m.content, m.sent_at, m.version, m.attempt, m.ai_persona,
         m.parent_message_id, m.finish_reason, m.input_tokens, m.output_tokens, m.error_code, m.error_detail,
         m.metadata, m.parts, m.deleted_at
    FROM messages AS m
   WHERE m.message_id = UNHEX(REPLACE(p_message_id, '-', '')) AND m.room_id = UNHEX(REPLACE(p_room_id, '-', ''))
     AND NOT EXISTS (SELECT 1 FROM rooms AS r WHERE r.room_id = m.room_id AND r.deleted_at IS NOT NULL)
   LIMIT 1;
END
//
DELIMITER ;
