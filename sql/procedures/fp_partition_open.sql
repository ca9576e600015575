-- fp_partition_open: mints a new incarnation of a partition's queue
-- Database: shard
-- Design: 1. The row stays locked from the upsert to the commit: no two callers get the same one. 2. All but the first
--   one mint an epoch as well, so that a batch that is under way is refused from the commit on: it may have been read
--   from a queue that Redis has lost, and rooms that are loaded from now on give its places to others. A writer whose
--   queue is still there takes the next epoch and reads it again.
-- Parameters: p_partition_id.
-- Result sets: one row: partition_id, epoch, incarnation, applied_incarnation, applied_number.
-- Errors: none.
-- Safe to repeat because: it mints one more; an incarnation that nobody uses does no harm.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_partition_open;

DELIMITER //
CREATE PROCEDURE fp_partition_open(IN p_partition_id INT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  INSERT INTO partition_progress (partition_id, incarnation) VALUES (p_partition_id, 1)
  ON DUPLICATE KEY UPDATE
    epoch       = partition_progress.epoch + IF(partition_progress.incarnation > 0, 1, 0),
    incarnation = partition_progress.incarnation + 1;
  SELECT partition_id, epoch, incarnation, applied_incarnation, applied_number
    FROM partition_progress
   WHERE partition_id = p_partition_id;
  COMMIT;
END
//
DELIMITER ;
