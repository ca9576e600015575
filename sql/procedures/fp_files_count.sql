-- fp_files_count: how many files an account has, and how many bytes
-- Database: shard
-- Design: equal bytes count once, as in fp_file_add.
-- Parameters: p_account_db_key.
-- Result sets: one row: files, bytes.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_files_count;

DELIMITER //
CREATE PROCEDURE fp_files_count(IN p_account_db_key BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT CAST(COALESCE(SUM(b.files), 0) AS SIGNED), CAST(COALESCE(SUM(b.size), 0) AS SIGNED)
    FROM (SELECT COUNT(*) AS files, MAX(size) AS size FROM files
           WHERE account_db_key = p_account_db_key GROUP BY blob_id) AS b;
END
//
DELIMITER ;
