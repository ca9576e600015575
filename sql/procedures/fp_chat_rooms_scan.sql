-- fp_chat_rooms_scan: every room of this shard, deleted ones too, page by page
-- Database: shard
-- Design: for checks, not for people: by primary key, so that a page costs what it shows however many rooms there are,
--   and rooms that are made meanwhile move nothing.
-- Parameters: p_from: the first room_id of the page, 36 characters, itself included; NULL for the beginning. p_limit:
--   how many.
-- Result sets: one, ascending room_id: room_id, partition_id, account_id, account_db_key, title, message_count,
--   version, last_seq, deleted_at (NULL unless deleted).
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_rooms_scan;

DELIMITER //
CREATE PROCEDURE fp_chat_rooms_scan(IN p_from VARCHAR(64), IN p_limit BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_from BINARY(16) DEFAULT COALESCE(UNHEX(REPLACE(p_from, '-', '')), UNHEX(REPEAT('0', 32)));
  SELECT room_id, partition_id, account_id, account_db_key, title, message_count, version, last_seq, deleted_at
    FROM rooms
   WHERE room_id >= v_from
   ORDER BY room_id
   LIMIT p_limit;
END
//
DELIMITER ;
