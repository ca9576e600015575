-- fp_partition_progress: where the partitions of this shard stand
-- Database: shard
-- Design: the whole table: a row for each partition at most.
-- Parameters: none.
-- Result sets: one, ascending partition_id: partition_id, epoch, incarnation, applied_incarnation, applied_number.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_partition_progress;

DELIMITER //
CREATE PROCEDURE fp_partition_progress()
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT partition_id, epoch, incarnation, applied_incarnation, applied_number
    FROM partition_progress
   ORDER BY partition_id;
END
//
DELIMITER ;
