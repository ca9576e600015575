-- fp_file_removals_get: bytes that no file names any more and that are still to be deleted
-- Database: shard
-- Design: few rows at any time: whoever deletes a file deletes its bytes at once, unless he cannot.
-- Parameters: p_limit.
-- Result sets: one: blob_id, the oldest first.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_removals_get;

DELIMITER //
CREATE PROCEDURE fp_file_removals_get(IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT blob_id FROM file_removals ORDER BY removed_at, blob_id LIMIT p_limit;
END
//
DELIMITER ;
