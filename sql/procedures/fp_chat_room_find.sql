-- fp_chat_room_find: the room of an account that has this external id
-- Database: shard
-- Design: a lookup in rooms_by_external. Redis sees to it that of the rooms that are not deleted one has the id; should
--   there be more all the same, the newest is found, always the same one. Collations that pad find 'a' when they are
--   asked for 'a ', so the lengths are compared too.
-- Parameters: p_account_db_key, p_external_id.
-- Result sets: one row: room_id, BINARY(16); none when no room has the id.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_find;

DELIMITER //
CREATE PROCEDURE fp_chat_room_find(
  IN p_account_db_key BIGINT, IN p_external_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT room_id
    FROM rooms
   WHERE account_db_key = p_account_db_key AND external_id = p_external_id
     AND LENGTH(external_id) = LENGTH(p_external_id) AND deleted_at IS NULL
   ORDER BY room_id DESC
   LIMIT 1;
END
//
DELIMITER ;
