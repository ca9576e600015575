-- fp_chat_room_touch: brings rooms up to date with their latest message
-- Database: shard
-- Design: absolute values; an older one (lower last_seq) and a deleted room are left alone. STRAIGHT_JOIN and
--   FORCE INDEX: a server that takes rooms for small would scan it, and wait for locks of other partitions' writers.
--   Does not commit.
-- Parameters: p_batch: [{room_id, last_seq, message_count, and when not NULL: last_message_at}], one for each room at
--   most (a multi-table UPDATE changes a row once), in the order of room_id.
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: the values are absolute.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_touch;

DELIMITER //
CREATE PROCEDURE fp_chat_room_touch(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  UPDATE JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id         VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           last_seq        BIGINT PATH '$.last_seq' ERROR ON EMPTY ERROR ON ERROR,
           message_count   BIGINT PATH '$.message_count' ERROR ON EMPTY ERROR ON ERROR,
           last_message_at BIGINT PATH '$.last_message_at' NULL ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN rooms AS r FORCE INDEX (PRIMARY) ON r.room_id = UNHEX(REPLACE(j.room_id, '-', ''))
     SET r.last_seq = j.last_seq, r.message_count = j.message_count, r.last_message_at = j.last_message_at
   WHERE j.last_seq >= r.last_seq AND r.deleted_at IS NULL;
END
//
DELIMITER ;
