-- fp_chat_message_save: stores messages (CHAT_MESSAGE_SAVE)
-- Database: shard
-- Design: 1. (room_id, seq) decides: a row with the same message_id is overwritten by a higher version only, a
--   tombstone by nothing. 2. A place taken by another message is an error, never an overwrite (I8): the rows are
--   looked at again after the upsert, when they are locked. 3. version is assigned last, because assignments see the
--   ones before them. 4. Columns of JSON_TABLE are wider than the table's, or MEDIUMTEXT like them: MariaDB cuts a
--   text and clips a number there without a word (the client checks that numbers fit). 5. An absent field is NULL; JSON
--   null is not used, the servers disagree about it. Does not commit.
-- Parameters: p_batch: [{room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata (JSON as
--   a string), and when not NULL: ai_persona, parent_message_id, finish_reason, input_tokens, output_tokens,
--   error_code, error_detail}], in the order of (room_id, seq, version).
-- Result sets: none.
-- Errors: 45000 'seq-conflict: <room_id> seq <n>'; 45000 'row-refused: ...'; 22001 for a text that is longer than its
--   column; JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: the same version again changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_save;

DELIMITER //
CREATE PROCEDURE fp_chat_message_save(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_found INT DEFAULT 0;
  DECLARE v_conflict VARCHAR(128) CHARACTER SET utf8mb4;
  INSERT INTO messages (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, ai_persona,
                        parent_message_id, finish_reason, input_tokens, output_tokens, error_code, error_detail,
                        metadata)
  SELECT UNHEX(REPLACE(j.room_id, '-', '')), j.seq, UNHEX(REPLACE(j.message_id, '-', '')), j.sender_type, j.content,
         j.sent_at, j.version, j.attempt, j.ai_persona, UNHEX(REPLACE(j.parent_message_id, '-', '')), j.finish_reason,
         j.input_tokens, j.output_tokens, j.error_code, j.error_detail, j.metadata
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id           VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           seq               BIGINT PATH '$.seq' ERROR ON EMPTY ERROR ON ERROR,
           message_id        VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY ERROR ON ERROR,
           sender_type       VARCHAR(64) PATH '$.sender_type' ERROR ON EMPTY ERROR ON ERROR,
           content           MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.content' ERROR ON EMPTY ERROR ON ERROR,
           sent_at           BIGINT PATH '$.sent_at' ERROR ON EMPTY ERROR ON ERROR,
           version           BIGINT PATH '$.version' ERROR ON EMPTY ERROR ON ERROR,
           attempt           BIGINT PATH '$.attempt' ERROR ON EMPTY ERROR ON ERROR,
           ai_persona        MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.ai_persona' NULL ON EMPTY ERROR ON ERROR,
           parent_message_id VARCHAR(64) PATH '$.parent_message_id' NULL ON EMPTY ERROR ON ERROR,
           finish_reason     VARCHAR(64) PATH '$.finish_reason' NULL ON EMPTY ERROR ON ERROR,
           input_tokens      BIGINT PATH '$.input_tokens' NULL ON EMPTY ERROR ON ERROR,
           output_tokens     BIGINT PATH '$.output_tokens' NULL ON EMPTY ERROR ON ERROR,
           error_code        MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.error_code' NULL ON EMPTY ERROR ON ERROR,
           error_detail      MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.error_detail' NULL ON EMPTY ERROR ON ERROR,
           metadata          MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.metadata' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
  ON DUPLICATE KEY UPDATE
    sender_type = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(sender_type), messages.sender_type),
    content = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(content), messages.content),
    sent_at = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(sent_at), messages.sent_at),
    attempt = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(attempt), messages.attempt),
    ai_persona = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(ai_persona), messages.ai_persona),
    parent_message_id = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(parent_message_id), messages.parent_message_id),
    finish_reason = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(finish_reason), messages.finish_reason),
    input_tokens = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(input_tokens), messages.input_tokens),
    output_tokens = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(output_tokens), messages.output_tokens),
    error_code = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(error_code), messages.error_code),
    error_detail = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(error_detail), messages.error_detail),
    metadata = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(metadata), messages.metadata),
    version = IF(messages.deleted_at IS NULL AND messages.message_id = VALUES(message_id)
      AND VALUES(version) > messages.version, VALUES(version), messages.version);

  SELECT COUNT(*),
         MIN(IF(m.message_id = UNHEX(REPLACE(j.message_id, '-', '')), NULL, CONCAT(j.room_id, ' seq ', j.seq)))
    INTO v_found, v_conflict
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id    VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           seq        BIGINT PATH '$.seq' ERROR ON EMPTY ERROR ON ERROR,
           message_id VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY ERROR ON ERROR
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
