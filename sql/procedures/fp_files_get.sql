-- fp_files_get: a page of an account's files
-- Database: shard
-- Design: by the key of (account, file_id), which sorts by time.
-- Parameters: p_account_db_key; p_before, a file_id, or NULL for the first page; p_limit.
-- Result sets: one, newest first: rows like fp_file_get's.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_files_get;

DELIMITER //
CREATE PROCEDURE fp_files_get(IN p_account_db_key BIGINT, IN p_before VARCHAR(64), IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT file_id, blob_id, name, media_type, size, sha256, created_at
    FROM files
   WHERE account_db_key = p_account_db_key
     AND file_id < COALESCE(UNHEX(REPLACE(p_before, '-', '')), UNHEX(REPEAT('ff', 17)))
   ORDER BY file_id DESC
   LIMIT p_limit;
END
//
DELIMITER ;
