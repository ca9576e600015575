-- fp_search_save_v3: keeps what messages are found by, and takes them out of the backlog: one transaction
-- Database: shard
-- Design: 1. The messages are locked for reading, so that what is kept is what they say: one that has changed since
--      it was read is left alone, and is in the backlog again. 2. Locks are taken in the order in which a writer takes
--      them: messages, then the backlog. 3. MySQL refuses a locking clause in a statement that names JSON_TABLE itself
--      (error 3569), so it stands in a derived table. 4. No ERROR ON ERROR, as in fp_chat_message_save.
-- Parameters: p_batch: [{partition, room_id, seq, mark, message_id, version, tokens}], one for each message, in the
--   order of room_id and seq. Empty tokens: the message is found no more.
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape, after ROLLBACK.
-- Safe to repeat because: the same message has the same tokens.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_search_save_v3;

DELIMITER //
CREATE PROCEDURE fp_search_save_v3(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;

  START TRANSACTION;
  INSERT INTO message_search (room_id, seq, message_id, version, tokens)
  SELECT m.room_id, m.seq, m.message_id, m.version, j.tokens
    FROM (SELECT t.room_id, t.seq, t.version, t.tokens
            FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
                   room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
                   seq     BIGINT PATH '$.seq' ERROR ON EMPTY,
                   version BIGINT PATH '$.version' ERROR ON EMPTY,
                   tokens  MEDIUMTEXT PATH '$.tokens' ERROR ON EMPTY
                 )) AS t) AS j
    STRAIGHT_JOIN messages AS m FORCE INDEX (PRIMARY)
      ON m.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND m.seq = j.seq
   WHERE j.tokens <> '' AND m.version = j.version AND m.deleted_at IS NULL
  LOCK IN SHARE MODE
  ON DUPLICATE KEY UPDATE message_id = VALUES(message_id), version = VALUES(version), tokens = VALUES(tokens);

  DELETE s
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
           seq     BIGINT PATH '$.seq' ERROR ON EMPTY,
           tokens  MEDIUMTEXT PATH '$.tokens' ERROR ON EMPTY
         )) AS j
    STRAIGHT_JOIN message_search AS s FORCE INDEX (PRIMARY)
      ON s.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND s.seq = j.seq
   WHERE j.tokens = '';

  DELETE b
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           partition_number INT PATH '$.partition' ERROR ON EMPTY,
           room_id          VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
           seq              BIGINT PATH '$.seq' ERROR ON EMPTY,
           mark             BIGINT PATH '$.mark' ERROR ON EMPTY
         )) AS j
    STRAIGHT_JOIN search_backlog AS b FORCE INDEX (PRIMARY)
      ON b.partition_id = j.partition_number AND b.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND b.seq = j.seq
   WHERE b.mark = j.mark;
  COMMIT;
END
//
DELIMITER ;
