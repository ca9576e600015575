-- fp_approved_call_get: whether a call was approved once for its room
-- Database: shard
-- Design: a lookup by primary key.
-- Parameters: p_room_id; p_digest.
-- Result sets: one: a row of the digest if it was.
-- Errors: none
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_approved_call_get;

DELIMITER //
CREATE PROCEDURE fp_approved_call_get(IN p_room_id VARCHAR(64), IN p_digest VARCHAR(255))
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT digest FROM approved_calls WHERE room_id = UNHEX(REPLACE(p_room_id, '-', '')) AND digest = p_digest;
END
//
DELIMITER ;
