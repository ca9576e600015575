-- fp_chat_message_save_v4: stores messages (CHAT_MESSAGE_SAVE)
-- Database: shard
-- Design: 1. The WHERE is the only guard. It lets in what is new, and a higher version of the same message; it keeps
--   out a version that is not higher, every change of a tombstone, and another message. So the upsert may overwrite.
--   2. What was stored is read without locks: the fence of fp_writer_apply lets one writer at a time change the rows
--   of a partition. Several versions of one message come in their order, so the highest is written last. 3. A slot
--   that another message has is an error (I8): the rows are compared after the upsert, and the caller rolls back.
--   4. LEFT JOIN and FORCE INDEX: each message is looked up by its key, the table is never scanned. 5. An absent field
--   is NULL; JSON null is not used, because servers disagree about it. 6. No ERROR ON ERROR: MariaDB takes a third of
--   the procedure's time for it. A field that is no value of its type is NULL, and so refused where it must be there.
--   Does not commit.
-- Parameters: p_batch: an array of messages, in the order of (room_id, seq, version), each version once. A message is
--   an object with a field for each column below; ids are texts of 36 characters, metadata is JSON as a string.
-- Result sets: none.
-- Errors: 45000 'seq-conflict: <room_id> seq <n>'; 45000 'row-refused: ...'; 22001 for a text that is longer than its
--   column; JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: the same version again changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_save_v4;

DELIMITER //
CREATE PROCEDURE fp_chat_message_save_v4(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_found INT DEFAULT 0;
  DECLARE v_conflict VARCHAR(128) CHARACTER SET utf8mb4;
  INSERT INTO messages (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, ai_persona,
                        parent_message_id, finish_reason, input_tokens, output_tokens, error_code, error_detail,
                        metadata, parts)
  SELECT UNHEX(REPLACE(j.room_id, '-', '')), j.seq, UNHEX(REPLACE(j.message_id, '-', '')), j.sender_type, j.content,
         j.sent_at, j.version, j.attempt, j.ai_persona, UNHEX(REPLACE(j.parent_message_id, '-', '')), j.finish_reason,
         j.input_tokens, j.output_tokens, j.error_code, j.error_detail, j.metadata, j.parts
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id           VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
           seq               BIGINT PATH '$.seq' ERROR ON EMPTY,
           message_id        VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY,
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
    LEFT JOIN messages AS m FORCE INDEX (PRIMARY) ON m.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND m.seq = j.seq
   WHERE m.seq IS NULL
      OR (m.deleted_at IS NULL AND m.message_id = UNHEX(REPLACE(j.message_id, '-', '')) AND j.version > m.version)
  ON DUPLICATE KEY UPDATE
    messages.sender_type = VALUES(sender_type),
    messages.content = VALUES(content),
    messages.sent_at = VALUES(sent_at),
    messages.version = VALUES(version),
    messages.attempt = VALUES(attempt),
    messages.ai_persona = VALUES(ai_persona),
    messages.parent_message_id = VALUES(parent_message_id),
    messages.finish_reason = VALUES(finish_reason),
    messages.input_tokens = VALUES(input_tokens),
    messages.output_tokens = VALUES(output_tokens),
    messages.error_code = VALUES(error_code),
    messages.error_detail = VALUES(error_detail),
    messages.metadata = VALUES(metadata),
    messages.parts = VALUES(parts);

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
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'row-refused: the batch is not an array of rows';
  END IF;
END
//
DELIMITER ;
