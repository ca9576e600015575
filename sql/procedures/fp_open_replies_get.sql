-- fp_open_replies_get: a page of the shard's replies that have not ended, by message id
-- Database: shard
-- Design: message ids sort by the time at which their turns were appended, so one range of messages_by_id has all of
--   the last minutes. A row that keeps the slot of a reply has an even version. STRAIGHT_JOIN: most messages of the
--   range are no open replies, and need no room.
-- Parameters: p_above, the message id behind which the page begins; p_limit.
-- Result sets: one: room_id, message_id.
-- Errors: none
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_open_replies_get;

DELIMITER //
CREATE PROCEDURE fp_open_replies_get(IN p_above VARCHAR(64), IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT m.room_id, m.message_id
    FROM messages AS m FORCE INDEX (messages_by_id)
    STRAIGHT_JOIN rooms AS r ON r.room_id = m.room_id
   WHERE m.message_id > UNHEX(REPLACE(p_above, '-', '')) AND m.sender_type = 'AI' AND m.version % 2 = 0
     AND m.deleted_at IS NULL AND r.deleted_at IS NULL
   ORDER BY m.message_id LIMIT p_limit;
END
//
DELIMITER ;
