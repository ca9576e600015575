-- fp_files_scan: every file of the shard, for checks
-- Database: shard
-- Design: by primary key, page by page.
-- Parameters: p_after, a file_id, or NULL for the first page; p_limit.
-- Result sets: one, by ascending file_id: rows like fp_file_get's.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_files_scan;

DELIMITER //
CREATE PROCEDURE fp_files_scan(IN p_after VARCHAR(64), IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT file_id, blob_id, name, media_type, size, sha256, created_at
    FROM files
   WHERE file_id > COALESCE(UNHEX(REPLACE(p_after, '-', '')), '')
   ORDER BY file_id
   LIMIT p_limit;
END
//
DELIMITER ;
