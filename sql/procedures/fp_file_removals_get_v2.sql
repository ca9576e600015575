-- fp_file_removals_get_v2: bytes that no file names any more, oldest first
-- Database: shard
-- Design: few rows at any time: whoever deletes a file deletes its bytes at once, unless he cannot. None of a partition
--   that arrives or is fenced: whoever moves it still copies them.
-- Parameters: p_limit.
-- Result sets: blob_id.
-- Errors: none
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_removals_get_v2;

DELIMITER //
CREATE PROCEDURE fp_file_removals_get_v2(IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT r.blob_id FROM file_removals AS r
   WHERE NOT EXISTS (SELECT 1 FROM partition_homes AS h
                      WHERE h.partition_id = CONV(HEX(SUBSTRING(r.blob_id, 7, 2)), 16, 10) & 4095
                        AND h.state NOT IN ('home', 'leaving'))
   ORDER BY r.removed_at, r.blob_id LIMIT p_limit;
END
//
DELIMITER ;
