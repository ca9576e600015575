-- fp_search_note_v2: has messages read (again) for the search
-- Database: shard
-- Design: called with the saves and deletes of the same transaction, so that no crash forgets one. mark tells an
--   indexer that the message has changed since it read it. No ERROR ON ERROR, as in fp_chat_message_save. Does not
--   commit.
-- Parameters: p_batch: [{partition, room_id, seq}], one for each message, in the order of room_id and seq.
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: reading a message once more changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_search_note_v2;

DELIMITER //
CREATE PROCEDURE fp_search_note_v2(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO search_backlog (partition_id, room_id, seq)
  SELECT j.partition_number, UNHEX(REPLACE(j.room_id, '-', '')), j.seq
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           partition_number INT PATH '$.partition' ERROR ON EMPTY,
           room_id          VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY,
           seq              BIGINT PATH '$.seq' ERROR ON EMPTY
         )) AS j
  ON DUPLICATE KEY UPDATE mark = search_backlog.mark + 1;
END
//
DELIMITER ;
