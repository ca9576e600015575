-- fp_chat_message_version_save_v3: keeps what messages said before (part of CHAT_MESSAGE_SAVE)
-- Database: shard
-- Design: 1. Called after fp_chat_message_save, in the same transaction: the message's row is there and locked. A
--   message that is not there or is another one is an error, never a text that belongs to nothing. 2. A tombstone takes
--   no version, so a late one cannot bring text back (I9). 3. A version that is there stays as it is. 4. Columns of
--   JSON_TABLE as in fp_chat_message_save. Does not commit.
-- Parameters: p_batch: rows like fp_chat_message_save's, in the order of (room_id, seq, version).
-- Result sets: none.
-- Errors: 45000 'seq-conflict: <room_id> seq <n>'; 45000 'row-refused: ...'; 22001 for a text that is longer than its
--   column; JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: the same version again changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_version_save_v3;

DELIMITER //
CREATE PROCEDURE fp_chat_message_version_save_v3(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_found INT DEFAULT 0;
  DECLARE v_conflict VARCHAR(128) CHARACTER SET utf8mb4;
  SELECT COUNT(*),
         MIN(IF(m.message_id = UNHEX(REPLACE(j.message_id, '-', '')), NULL, CONCAT(j.room_id, ' seq ', j.seq)))
    INTO v_found, v_conflict
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id    VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
           seq        BIGINT PATH '$.seq' ERROR ON EMPTY,
           message_id VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY
         )) AS j
    JOIN messages AS m ON m.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND m.seq = j.seq;
  IF v_conflict IS NOT NULL THEN
    SET v_conflict = CONCAT('seq-conflict: ', v_conflict);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = v_conflict;
  END IF;
  IF v_found <> JSON_LENGTH(p_batch) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'row-refused: a version of a message that is not there';
  END IF;

  INSERT INTO message_versions (room_id, seq, version, message_id, sender_type, content, sent_at, attempt, ai_persona,
                                parent_message_id, finish_reason, input_tokens, output_tokens, error_code,
                                error_detail, metadata, parts)
  SELECT m.room_id, m.seq, j.version, m.message_id, j.sender_type, j.content, j.sent_at, j.attempt, j.ai_persona,
         UNHEX(REPLACE(j.parent_message_id, '-', '')), j.finish_reason, j.input_tokens, j.output_tokens, j.error_code,
         j.error_detail, j.metadata, j.parts
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id           VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
           seq               BIGINT PATH '$.seq' ERROR ON EMPTY,
           sender_type       VARCHAR(64) PATH '$.sender_type' ERROR ON EMPTY,
           content           MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.content' ERROR ON EMPTY,
           sent_at           BIGINT PATH '$.sent_at' ERROR ON EMPTY,
           version           BIGINT PATH '$.version' ERROR ON EMPTY,
           attempt           BIGINT PATH '$.attempt' ERROR ON EMPTY,
           ai_persona        MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.ai_persona' NULL ON EMPTY,
           parent_message_id VARCHAR(64) PATH '$.parent_message_id' NULL ON EMPTY,
           finish_reason     VARCHAR(64) PATH '$.finish_reason' NULL ON EMPTY,
           input_tokens      BIGINT PATH '$.input_tokens' NULL ON EMPTY,
           output_tokens     BIGINT PATH '$.output_tokens' NULL ON EMPTY,
           error_code        MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.error_code' NULL ON EMPTY,
           error_detail      MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.error_detail' NULL ON EMPTY,
           metadata          MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.metadata' ERROR ON EMPTY,
           parts             MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.parts' NULL ON EMPTY
         )) AS j
    JOIN messages AS m ON m.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND m.seq = j.seq
   WHERE m.deleted_at IS NULL
  ON DUPLICATE KEY UPDATE version = message_versions.version;
END
//
DELIMITER ;
