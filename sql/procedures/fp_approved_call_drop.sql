-- fp_approved_call_drop: forgets that a call was approved once for its room
-- Database: shard
-- Design: for repairs of what nobody approved; the next such call is asked about.
-- Parameters: p_room_id; p_digest.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: what is gone is gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_approved_call_drop;

DELIMITER //
CREATE PROCEDURE fp_approved_call_drop(IN p_room_id VARCHAR(64), IN p_digest VARCHAR(255))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DELETE FROM approved_calls WHERE room_id = UNHEX(REPLACE(p_room_id, '-', '')) AND digest = p_digest;
END
//
DELIMITER ;
