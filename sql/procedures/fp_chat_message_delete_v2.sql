-- fp_chat_message_delete_v2: turns messages into tombstones (CHAT_MESSAGE_DELETE)
-- Database: shard
-- Design: a message that was never stored gets its tombstone all the same, so that a late save finds the place taken.
--   Who sent it and when stay (they are given for a message that was never stored); content, metadata, error text and
--   earlier versions go. The first deleted_at stays. A place taken by another message is an error. STRAIGHT_JOIN and
--   FORCE INDEX: a server that takes message_versions for small would scan it, and wait for locks of other partitions'
--   writers. Does not commit.
-- Parameters: p_batch: [{room_id, seq, message_id, deleted_at, sender_type, sent_at}], in the order of (room_id, seq);
--   without the last two: SYSTEM, and deleted_at.
-- Result sets: none.
-- Errors: 45000 'seq-conflict: <room_id> seq <n>'; 45000 'row-refused: ...'; JSON_TABLE's own for a batch of another
--   shape.
-- Safe to repeat because: a tombstone is never changed.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_delete_v2;

DELIMITER //
CREATE PROCEDURE fp_chat_message_delete_v2(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_found INT DEFAULT 0;
  DECLARE v_conflict VARCHAR(128) CHARACTER SET utf8mb4;
  INSERT INTO messages (room_id, seq, message_id, sender_type, content, sent_at, version, attempt, metadata, deleted_at)
  SELECT UNHEX(REPLACE(j.room_id, '-', '')), j.seq, UNHEX(REPLACE(j.message_id, '-', '')),
         COALESCE(j.sender_type, 'SYSTEM'), '', COALESCE(j.sent_at, j.deleted_at), 0, 0, '{}', j.deleted_at
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id    VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           seq        BIGINT PATH '$.seq' ERROR ON EMPTY ERROR ON ERROR,
           message_id VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY ERROR ON ERROR,
           deleted_at BIGINT PATH '$.deleted_at' ERROR ON EMPTY ERROR ON ERROR,
           sender_type VARCHAR(64) PATH '$.sender_type' NULL ON EMPTY ERROR ON ERROR,
           sent_at    BIGINT PATH '$.sent_at' NULL ON EMPTY ERROR ON ERROR
         )) AS j
  ON DUPLICATE KEY UPDATE
    content      = IF(messages.message_id = VALUES(message_id), '', messages.content),
    metadata     = IF(messages.message_id = VALUES(message_id), '{}', messages.metadata),
    error_detail = IF(messages.message_id = VALUES(message_id), NULL, messages.error_detail),
    parts        = IF(messages.message_id = VALUES(message_id), NULL, messages.parts),
    deleted_at   = IF(messages.message_id = VALUES(message_id), COALESCE(messages.deleted_at, VALUES(deleted_at)),
                      messages.deleted_at);

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

  DELETE v
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           seq     BIGINT PATH '$.seq' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN message_versions AS v FORCE INDEX (PRIMARY)
      ON v.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND v.seq = j.seq;
END
//
DELIMITER ;
