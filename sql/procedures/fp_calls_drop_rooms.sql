-- fp_calls_drop_rooms: forgets what is known of the calls of deleted rooms
-- Database: shard
-- Design: in the transaction that deletes the rooms. Does not commit.
-- Parameters: p_batch: [{room_id}].
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: what is gone is gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_calls_drop_rooms;

DELIMITER //
CREATE PROCEDURE fp_calls_drop_rooms(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DELETE w
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR)) AS j
    STRAIGHT_JOIN waiting_replies AS w ON w.room_id = UNHEX(REPLACE(j.room_id, '-', ''));

  DELETE a
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR)) AS j
    STRAIGHT_JOIN approved_calls AS a ON a.room_id = UNHEX(REPLACE(j.room_id, '-', ''));
END
//
DELIMITER ;
