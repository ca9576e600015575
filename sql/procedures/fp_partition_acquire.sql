-- fp_partition_acquire: mints a new epoch for a partition's writer
-- Database: shard
-- Design: the row stays locked from the upsert to the commit: no two callers get the same one, and batches of older
--   epochs are refused from the commit on.
-- Parameters: p_partition_id.
-- Result sets: one row: partition_id, epoch, incarnation, applied_incarnation, applied_number.
-- Errors: none.
-- Safe to repeat because: it mints one more; an epoch that nobody uses does no harm.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_partition_acquire;

DELIMITER //
CREATE PROCEDURE fp_partition_acquire(IN p_partition_id INT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  INSERT INTO partition_progress (partition_id, epoch) VALUES (p_partition_id, 1)
  ON DUPLICATE KEY UPDATE epoch = partition_progress.epoch + 1;
  SELECT partition_id, epoch, incarnation, applied_incarnation, applied_number
    FROM partition_progress
   WHERE partition_id = p_partition_id;
  COMMIT;
END
//
DELIMITER ;
