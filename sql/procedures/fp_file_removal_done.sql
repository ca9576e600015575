-- fp_file_removal_done: the file store has deleted these bytes
-- Database: shard
-- Design: called after the file store has answered.
-- Parameters: p_blob_id, 36 characters.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: a row that is gone stays gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_removal_done;

DELIMITER //
CREATE PROCEDURE fp_file_removal_done(IN p_blob_id VARCHAR(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DELETE FROM file_removals WHERE blob_id = UNHEX(REPLACE(p_blob_id, '-', ''));
END
//
DELIMITER ;
