-- fp_chat_room_delete: deletes rooms (CHAT_ROOM_DELETE): soft, final
-- Database: shard
-- Design: a room that was never stored gets its row all the same, so that a late create finds the place taken. The
--   first deleted_at stays. Does not commit.
-- Parameters: p_batch: [{room_id, partition, account_id, account_db_key, deleted_at}], in the order of room_id.
-- Result sets: none.
-- Errors: 22001 for a text that is longer than its column; JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: the first deleted_at stays.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_delete;

DELIMITER //
CREATE PROCEDURE fp_chat_room_delete(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO rooms (room_id, partition_id, account_id, account_db_key, title, ai_persona, created_at, message_count,
                     version, last_seq, deleted_at)
  SELECT UNHEX(REPLACE(j.room_id, '-', '')), j.partition_id, j.account_id, j.account_db_key, '', '', j.deleted_at, 0,
         0, 0, j.deleted_at
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id        VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           partition_id   INT PATH '$.partition' ERROR ON EMPTY ERROR ON ERROR,
           account_id     MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.account_id' ERROR ON EMPTY ERROR ON ERROR,
           account_db_key BIGINT PATH '$.account_db_key' ERROR ON EMPTY ERROR ON ERROR,
           deleted_at     BIGINT PATH '$.deleted_at' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
  ON DUPLICATE KEY UPDATE deleted_at = COALESCE(rooms.deleted_at, VALUES(deleted_at));
END
//
DELIMITER ;
