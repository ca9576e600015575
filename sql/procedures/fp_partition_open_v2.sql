-- fp_partition_open_v2: mints a new incarnation of a partition's queue, above any that the caller knows of
-- Database: shard
-- Design: 1. The row stays locked from the upsert to the commit: no two callers get the same one. 2. All but the first
--   one mint an epoch as well, so that a batch that is under way is refused from the commit on: it may have been read
--   from a queue that Redis has lost, and rooms that are loaded from now on give its places to others. A writer whose
--   queue is still there takes the next epoch and reads it again. 3. p_above is 0 but for a shard that was restored
--   from a backup: it has forgotten incarnations that Redis knows, and mints above them.
-- Parameters: p_partition_id, p_above.
-- Result sets: one row: partition_id, epoch, incarnation, applied_incarnation, applied_number.
-- Errors: none.
-- Safe to repeat because: it mints one more; an incarnation that nobody uses does no harm.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_partition_open_v2;

DELIMITER //
CREATE PROCEDURE fp_partition_open_v2(IN p_partition_id INT, IN p_above BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  INSERT INTO partition_progress (partition_id, incarnation) VALUES (p_partition_id, p_above + 1)
  ON DUPLICATE KEY UPDATE
    epoch       = partition_progress.epoch + IF(partition_progress.incarnation > 0, 1, 0),
    incarnation = GREATEST(partition_progress.incarnation, p_above) + 1;
  SELECT partition_id, epoch, incarnation, applied_incarnation, applied_number
    FROM partition_progress
   WHERE partition_id = p_partition_id;
  COMMIT;
END
//
DELIMITER ;
