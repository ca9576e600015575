-- fp_partition_changes_note_v2: notes what a batch changes while a partition leaves its shard
-- Database: shard
-- Design: called by fp_writer_apply in its transaction, so that nothing that is committed is forgotten. Whose partition
--   a row is, whoever copies it finds out: one partition moves at a time. Does not commit.
-- Parameters: p_batch, p_saves: what fp_writer_apply takes.
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: what is named twice is copied twice.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_partition_changes_note_v2;

DELIMITER //
CREATE PROCEDURE fp_partition_changes_note_v2(IN p_batch JSON, IN p_saves JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_parts JSON DEFAULT JSON_ARRAY('room_creates', 'room_touches', 'room_updates', 'summary_saves',
    'message_deletes', 'room_deletes', 'call_notes', 'version_saves');
  DECLARE v_index INT DEFAULT 0;
  DECLARE v_part JSON;

  WHILE v_index <= JSON_LENGTH(v_parts) DO
    SET v_part = p_saves;
    IF v_index < JSON_LENGTH(v_parts) THEN
      SET v_part = JSON_EXTRACT(p_batch, CONCAT('$.', JSON_EXTRACT(v_parts, CONCAT('$[', v_index, ']'))));
    END IF;
    IF JSON_LENGTH(v_part) > 0 THEN
      INSERT INTO partition_changes (room_id, account_db_key, seq)
      SELECT UNHEX(REPLACE(j.room_id, '-', '')), NULL, COALESCE(j.seq, 0)
        FROM JSON_TABLE(v_part, '$[*]' COLUMNS (
               room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
               seq     BIGINT PATH '$.seq' NULL ON EMPTY ERROR ON ERROR
             )) AS j;
    END IF;
    SET v_index = v_index + 1;
  END WHILE;

  SET v_part = JSON_EXTRACT(p_batch, '$.uses');
  IF JSON_LENGTH(v_part) > 0 THEN
    INSERT INTO partition_changes (room_id, account_db_key, seq)
    SELECT NULL, j.account_db_key, j.quarter
      FROM JSON_TABLE(v_part, '$[*]' COLUMNS (
             account_db_key BIGINT PATH '$.account_db_key' ERROR ON EMPTY ERROR ON ERROR,
             quarter        BIGINT PATH '$.quarter' ERROR ON EMPTY ERROR ON ERROR
           )) AS j;
  END IF;
END
//
DELIMITER ;
