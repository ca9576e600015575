-- fp_file_uses_release_messages: deleted messages name no files any more
-- Database: shard
-- Design: called by fp_writer_apply with what fp_chat_message_delete is called with. Whether a file has another message
--   is found out afterwards (fp_file_release_next), so that a batch waits for no lock of an account. Does not commit.
-- Parameters: p_batch: [{message_id, deleted_at, ...}].
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: uses that are gone release nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_uses_release_messages;

DELIMITER //
CREATE PROCEDURE fp_file_uses_release_messages(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO file_releases (file_id, released_at)
  SELECT u.file_id, j.deleted_at
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           message_id VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY ERROR ON ERROR,
           deleted_at BIGINT PATH '$.deleted_at' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN file_uses AS u FORCE INDEX (file_uses_by_message)
      ON u.message_id = UNHEX(REPLACE(j.message_id, '-', ''))
  ON DUPLICATE KEY UPDATE released_at = file_releases.released_at;

  DELETE u
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           message_id VARCHAR(64) PATH '$.message_id' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN file_uses AS u FORCE INDEX (file_uses_by_message)
      ON u.message_id = UNHEX(REPLACE(j.message_id, '-', ''));
END
//
DELIMITER ;
