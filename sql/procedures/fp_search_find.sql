-- fp_search_find: messages that have all tokens, newest first
-- Database: shard
-- Design: ids sort by time. What is deleted is never an answer, also when the index still has it.
-- Parameters: p_wanted: the tokens as a query in boolean mode (+token, or +beginning*), one of the account among them;
--   p_below: a message_id of 36 characters, or NULL for the newest; p_limit.
-- Result sets: one: room_id, seq, message_id, sender_type, sent_at, content.
-- Errors: 1064 for a query that is none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_search_find;

DELIMITER //
CREATE PROCEDURE fp_search_find(IN p_wanted MEDIUMTEXT, IN p_below VARCHAR(64), IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT s.room_id, s.seq, s.message_id, m.sender_type, m.sent_at, m.content
    FROM message_search AS s
    JOIN messages AS m ON m.room_id = s.room_id AND m.seq = s.seq AND m.deleted_at IS NULL
    JOIN rooms AS r ON r.room_id = s.room_id AND r.deleted_at IS NULL
   WHERE MATCH(s.tokens) AGAINST(p_wanted IN BOOLEAN MODE)
     AND (p_below IS NULL OR s.message_id < UNHEX(REPLACE(p_below, '-', '')))
   ORDER BY s.message_id DESC
   LIMIT p_limit;
END
//
DELIMITER ;
