-- fp_search_backlog_get: messages that are to be read for the search
-- Database: shard
-- Design: STRAIGHT_JOIN: each partition is one range scan of the primary key.
-- Parameters: p_partitions: [number], ascending; p_limit: the most rows.
-- Result sets: one: partition_id, room_id, seq, mark, message_id, version, account_db_key, content; content is empty
--   when the message or its room was deleted. message_id, version and account_db_key are NULL when there is no such
--   message.
-- Errors: JSON_TABLE's own for partitions of another shape.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_search_backlog_get;

DELIMITER //
CREATE PROCEDURE fp_search_backlog_get(IN p_partitions JSON, IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT b.partition_id, b.room_id, b.seq, b.mark, m.message_id, m.version, r.account_db_key,
         IF(m.deleted_at IS NULL AND r.deleted_at IS NULL, COALESCE(m.content, ''), '')
    FROM JSON_TABLE(p_partitions, '$[*]' COLUMNS (
           partition_number INT PATH '$' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN search_backlog AS b FORCE INDEX (PRIMARY) ON b.partition_id = j.partition_number
    LEFT JOIN messages AS m ON m.room_id = b.room_id AND m.seq = b.seq
    LEFT JOIN rooms AS r ON r.room_id = b.room_id
   LIMIT p_limit;
END
//
DELIMITER ;
