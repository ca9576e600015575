-- fp_waiting_replies_get: a page of an account's replies that wait for people, oldest first
-- Database: shard
-- Design: message ids sort by the time at which their turns were appended.
-- Parameters: p_account_db_key; p_from, the lowest message id of the page, or NULL; p_limit.
-- Result sets: one: room_id, message_id.
-- Errors: none
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_waiting_replies_get;

DELIMITER //
CREATE PROCEDURE fp_waiting_replies_get(IN p_account_db_key BIGINT, IN p_from VARCHAR(64), IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT room_id, message_id
    FROM waiting_replies
   WHERE account_db_key = p_account_db_key AND message_id >= COALESCE(UNHEX(REPLACE(p_from, '-', '')), '')
   ORDER BY message_id LIMIT p_limit;
END
//
DELIMITER ;
