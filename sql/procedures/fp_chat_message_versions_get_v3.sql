-- fp_chat_message_versions_get_v3: a page of a message's earlier versions
-- Database: shard
-- Design: one range scan of the primary key, limited. Earlier than the message's own row; nothing of a tombstone.
-- Parameters: p_room_id, 36 characters; p_seq; p_above, only versions above it (-1: all); p_limit, the most rows.
-- Result sets: one, ascending version: rows like fp_chat_messages_get's. Nothing for a deleted room.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_versions_get_v3;

DELIMITER //
CREATE PROCEDURE fp_chat_message_versions_get_v3(
  IN p_room_id VARCHAR(64), IN p_seq BIGINT, IN p_above BIGINT, IN p_limit INT
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT v.seq, v.message_id, v.sender_type, v.content, v.sent_at, v.version, v.attempt, v.ai_persona,
         v.parent_message_id, v.finish_reason, v.input_tokens, v.output_tokens, v.error_code, v.error_detail,
         v.metadata, v.parts, m.deleted_at
    FROM messages AS m
    JOIN message_versions AS v ON v.room_id = m.room_id AND v.seq = m.seq AND v.version < m.version
   WHERE m.room_id = UNHEX(REPLACE(p_room_id, '-', '')) AND m.seq = p_seq AND m.deleted_at IS NULL
     AND v.version > p_above
     AND NOT EXISTS (SELECT 1 FROM rooms AS r WHERE r.room_id = m.room_id AND r.deleted_at IS NOT NULL)
   ORDER BY v.version
   LIMIT p_limit;
END
//
DELIMITER ;
