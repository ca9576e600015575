-- fp_account_deletion_finish: writes down that nothing of a deleted account is left
-- Database: global
-- Design: the first end stays.
-- Parameters: p_account_db_key; p_rooms, how many rooms it had; p_finished_at, Unix milliseconds.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: a receipt that is finished does not change.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_deletion_finish;

DELIMITER //
CREATE PROCEDURE fp_account_deletion_finish(IN p_account_db_key BIGINT, IN p_rooms BIGINT, IN p_finished_at BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  UPDATE account_deletions SET finished_at = p_finished_at, rooms = p_rooms
   WHERE account_db_key = p_account_db_key AND finished_at IS NULL;
END
//
DELIMITER ;
