-- fp_file_get: a file of an account
-- Database: shard
-- Design: by primary key. Another account's file is not found (I16).
-- Parameters: p_file_id, 36 characters; p_account_db_key.
-- Result sets: one row, or none: file_id, blob_id, name, media_type, size, sha256, created_at.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_get;

DELIMITER //
CREATE PROCEDURE fp_file_get(IN p_file_id VARCHAR(64), IN p_account_db_key BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT file_id, blob_id, name, media_type, size, sha256, created_at
    FROM files
   WHERE file_id = UNHEX(REPLACE(p_file_id, '-', '')) AND account_db_key = p_account_db_key;
END
//
DELIMITER ;
