-- fp_chat_messages_get_v2: a page of a room's messages
-- Database: shard
-- Design: one range scan of the primary key; the newest ones are taken from its end and turned round.
-- Parameters: p_room_id; p_above < seq < p_below (NULL: no upper bound); p_limit rows at most; p_newest: 1 for the
--   newest of them, 0 for the oldest.
-- Result sets: one, ascending seq: seq, message_id, sender_type, content, sent_at, version, attempt, ai_persona,
--   parent_message_id, finish_reason, input_tokens, output_tokens, error_code, error_detail, metadata, parts (JSON
--   text),
--   deleted_at (NULL unless a tombstone). Ids are BINARY(16); times are unix milliseconds. Nothing for a deleted
--   room.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_messages_get_v2;

DELIMITER //
CREATE PROCEDURE fp_chat_messages_get_v2(
  IN p_room_id VARCHAR(64), IN p_above BIGINT, IN p_below BIGINT, IN p_limit INT, IN p_newest INT
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_room_id BINARY(16) DEFAULT UNHEX(REPLACE(p_room_id, '-', ''));
  DECLARE v_below BIGINT DEFAULT COALESCE(p_below, 9223372036854775807);
  DECLARE v_gone INT DEFAULT EXISTS (SELECT 1 FROM rooms WHERE room_id = v_room_id AND deleted_at IS NOT NULL);
  IF p_newest THEN
    SELECT m.seq, m.message_id, m.sender_type, m.content, m.sent_at, m.version, m.attempt, m.ai_persona,
         m.parent_message_id, m.finish_reason, m.input_tokens, m.output_tokens, m.error_code, m.error_detail,
         m.metadata, m.parts, m.deleted_at
      FROM (SELECT * FROM messages
             WHERE room_id = v_room_id AND seq > p_above AND seq < v_below AND NOT v_gone
             ORDER BY seq DESC
             LIMIT p_limit) AS m
     ORDER BY m.seq;
  ELSE
    SELECT m.seq, m.message_id, m.sender_type, m.content, m.sent_at, m.version, m.attempt, m.ai_persona,
         m.parent_message_id, m.finish_reason, m.input_tokens, m.output_tokens, m.error_code, m.error_detail,
         m.metadata, m.parts, m.deleted_at
      FROM messages AS m
     WHERE m.room_id = v_room_id AND m.seq > p_above AND m.seq < v_below AND NOT v_gone
     ORDER BY m.seq
     LIMIT p_limit;
  END IF;
END
//
DELIMITER ;
