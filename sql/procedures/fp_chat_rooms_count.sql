-- fp_chat_rooms_count: how many rooms an account has
-- Database: shard
-- Design: read from the index rooms_by_activity alone.
-- Parameters: p_account_db_key.
-- Result sets: one row: count of rooms that are not deleted.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_rooms_count;

DELIMITER //
CREATE PROCEDURE fp_chat_rooms_count(IN p_account_db_key BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT COUNT(*) FROM rooms WHERE account_db_key = p_account_db_key AND activity IS NOT NULL;
END
//
DELIMITER ;
