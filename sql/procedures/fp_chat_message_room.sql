-- fp_chat_message_room: the room of an account that has this message
-- Database: shard
-- Design: by the index messages_by_id; the room says whose it is.
-- Parameters: p_account_db_key; p_message_id, 36 characters.
-- Result sets: one row: room_id, BINARY(16); none when the account has no such message, or its room is deleted.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_message_room;

DELIMITER //
CREATE PROCEDURE fp_chat_message_room(IN p_account_db_key BIGINT, IN p_message_id VARCHAR(64))
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT m.room_id
    FROM messages AS m
    JOIN rooms AS r ON r.room_id = m.room_id
   WHERE m.message_id = UNHEX(REPLACE(p_message_id, '-', ''))
     AND r.account_db_key = p_account_db_key AND r.deleted_at IS NULL
   LIMIT 1;
END
//
DELIMITER ;
