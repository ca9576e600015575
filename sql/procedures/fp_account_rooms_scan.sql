-- fp_account_rooms_scan: a page of the rooms that an account has or had
-- Database: shard
-- Design: by the key of (account_db_key, ...); deleted rooms too, which no other read shows.
-- Parameters: p_account_db_key; p_after, a room_id, or NULL for the first page; p_limit.
-- Result sets: one, ascending room_id: room_id, deleted_at.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_rooms_scan;

DELIMITER //
CREATE PROCEDURE fp_account_rooms_scan(IN p_account_db_key BIGINT, IN p_after VARCHAR(64), IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT room_id, deleted_at
    FROM rooms
   WHERE account_db_key = p_account_db_key
     AND (p_after IS NULL OR room_id > UNHEX(REPLACE(p_after, '-', '')))
   ORDER BY room_id
   LIMIT p_limit;
END
//
DELIMITER ;
