-- fp_call_rooms_scan: every room of whose calls something is noted, page by page, for checks
-- Database: shard
-- Design: by the primary keys of both tables, so that a page costs what it shows.
-- Parameters: p_from: the first room_id of the page, itself included; NULL for the beginning. p_limit: how many.
-- Result sets: one: room_id, ascending.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_call_rooms_scan;

DELIMITER //
CREATE PROCEDURE fp_call_rooms_scan(IN p_from VARCHAR(64), IN p_limit BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_from BINARY(16) DEFAULT COALESCE(UNHEX(REPLACE(p_from, '-', '')), UNHEX(REPEAT('0', 32)));
  SELECT room_id
    FROM ((SELECT DISTINCT room_id FROM waiting_replies WHERE room_id >= v_from ORDER BY room_id LIMIT p_limit)
           UNION
          (SELECT DISTINCT room_id FROM approved_calls WHERE room_id >= v_from ORDER BY room_id LIMIT p_limit)) AS found
   ORDER BY room_id
   LIMIT p_limit;
END
//
DELIMITER ;
