-- fp_room_calls_get: what is noted of the calls of some rooms, for checks
-- Database: shard
-- Design: two ranges of a primary key for each room.
-- Parameters: p_rooms: an array of room ids, each once.
-- Result sets: one, in no order: room_id; then seq, message_id and account_db_key of a reply that waits for people,
--   with NULL as digest, or a digest that was approved once for the room, and NULL for the other three.
-- Errors: JSON_TABLE's own for something else than an array.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_room_calls_get;

DELIMITER //
CREATE PROCEDURE fp_room_calls_get(IN p_rooms JSON)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT w.room_id, w.seq, w.message_id, w.account_db_key, NULL AS digest
    FROM JSON_TABLE(p_rooms, '$[*]' COLUMNS (room_id VARCHAR(64) PATH '$' ERROR ON EMPTY ERROR ON ERROR)) AS j
    STRAIGHT_JOIN waiting_replies AS w ON w.room_id = UNHEX(REPLACE(j.room_id, '-', ''))
   UNION ALL
  SELECT a.room_id, NULL, NULL, NULL, a.digest
    FROM JSON_TABLE(p_rooms, '$[*]' COLUMNS (room_id VARCHAR(64) PATH '$' ERROR ON EMPTY ERROR ON ERROR)) AS j
    STRAIGHT_JOIN approved_calls AS a ON a.room_id = UNHEX(REPLACE(j.room_id, '-', ''));
END
//
DELIMITER ;
