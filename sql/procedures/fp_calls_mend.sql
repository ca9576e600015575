-- fp_calls_mend: forgets what is noted of calls of a room or a message that is not there
-- Database: shard
-- Design: for repairs. What is taken away is decided here, by the rows as they are now: the writer's transactions keep
--   notes and messages together, so a note without its message is nobody's.
-- Parameters: p_room_id.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: what is gone is gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_calls_mend;

DELIMITER //
CREATE PROCEDURE fp_calls_mend(IN p_room_id VARCHAR(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_room BINARY(16) DEFAULT UNHEX(REPLACE(p_room_id, '-', ''));

  DELETE FROM waiting_replies
   WHERE room_id = v_room
     AND NOT EXISTS (SELECT 1 FROM messages AS m JOIN rooms AS r ON r.room_id = m.room_id
                      WHERE m.room_id = waiting_replies.room_id AND m.seq = waiting_replies.seq
                        AND m.message_id = waiting_replies.message_id AND m.deleted_at IS NULL
                        AND r.account_db_key = waiting_replies.account_db_key AND r.deleted_at IS NULL);

  DELETE FROM approved_calls
   WHERE room_id = v_room AND NOT EXISTS (SELECT 1 FROM rooms WHERE room_id = v_room AND deleted_at IS NULL);
END
//
DELIMITER ;
