-- fp_chat_room_create_v3: inserts rooms (CHAT_ROOM_CREATE)
-- Database: shard
-- Design: insert if absent: a room that exists, deleted or not, stays as it is. Not INSERT IGNORE, which hides
--   errors. Does not commit.
-- Parameters: p_batch: [{room_id, partition, account_id, account_db_key, title, ai_persona, created_at, version,
--   external_id, metadata}], in the order of room_id so that batches lock in one order. An external_id or a metadata
--   that is absent is NULL.
-- Result sets: none.
-- Errors: 22001 for a text that is longer than its column; JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: a second insert finds the row and changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_create_v3;

DELIMITER //
CREATE PROCEDURE fp_chat_room_create_v3(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO rooms (room_id, partition_id, account_id, account_db_key, title, ai_persona, created_at, message_count,
                     version, last_seq, external_id, metadata)
  SELECT UNHEX(REPLACE(j.room_id, '-', '')), j.partition_id, j.account_id, j.account_db_key, j.title, j.ai_persona,
         j.created_at, 0, j.version, 0, j.external_id, j.metadata
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id        VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           partition_id   INT PATH '$.partition' ERROR ON EMPTY ERROR ON ERROR,
           account_id     MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.account_id' ERROR ON EMPTY ERROR ON ERROR,
           account_db_key BIGINT PATH '$.account_db_key' ERROR ON EMPTY ERROR ON ERROR,
           title          MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.title' ERROR ON EMPTY ERROR ON ERROR,
           ai_persona     MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.ai_persona' ERROR ON EMPTY ERROR ON ERROR,
           created_at     BIGINT PATH '$.created_at' ERROR ON EMPTY ERROR ON ERROR,
           version        BIGINT PATH '$.version' ERROR ON EMPTY ERROR ON ERROR,
           external_id    MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.external_id' NULL ON EMPTY ERROR ON ERROR,
           metadata       MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.metadata' NULL ON EMPTY ERROR ON ERROR
         )) AS j
  ON DUPLICATE KEY UPDATE room_id = rooms.room_id;
END
//
DELIMITER ;
