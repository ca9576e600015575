-- fp_calls_note: notes which replies wait for people, and what was approved once for its room
-- Database: shard
-- Design: called with the saves and deletes of the same transaction, so that both say the same. What the stored row is
--   decides: a note about another version of it changes nothing. Does not commit.
-- Parameters: p_batch: [{room_id, seq, version, waits, approved}], one for each message, in the order of room_id and
--   seq; waits is 1 for a reply of which a call waits for a decision; approved: digests, may be left out.
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: it makes the rows what the messages say.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_calls_note;

DELIMITER //
CREATE PROCEDURE fp_calls_note(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DELETE w
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           seq     BIGINT PATH '$.seq' ERROR ON EMPTY ERROR ON ERROR,
           version BIGINT PATH '$.version' ERROR ON EMPTY ERROR ON ERROR,
           waits   INT PATH '$.waits' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN waiting_replies AS w ON w.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND w.seq = j.seq
    STRAIGHT_JOIN messages AS m ON m.room_id = w.room_id AND m.seq = w.seq
   WHERE m.deleted_at IS NOT NULL OR (m.version = j.version AND j.waits = 0);

  INSERT INTO waiting_replies (room_id, seq, account_db_key, message_id)
  SELECT m.room_id, m.seq, r.account_db_key, m.message_id
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           seq     BIGINT PATH '$.seq' ERROR ON EMPTY ERROR ON ERROR,
           version BIGINT PATH '$.version' ERROR ON EMPTY ERROR ON ERROR,
           waits   INT PATH '$.waits' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN messages AS m ON m.room_id = UNHEX(REPLACE(j.room_id, '-', '')) AND m.seq = j.seq
    STRAIGHT_JOIN rooms AS r ON r.room_id = m.room_id
   WHERE j.waits = 1 AND m.version = j.version AND m.deleted_at IS NULL AND r.deleted_at IS NULL
  ON DUPLICATE KEY UPDATE message_id = VALUES(message_id);

  INSERT INTO approved_calls (room_id, digest)
  SELECT r.room_id, j.digest
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           NESTED PATH '$.approved[*]' COLUMNS (
             digest VARCHAR(255) CHARACTER SET utf8mb4 PATH '$' ERROR ON EMPTY ERROR ON ERROR
           )
         )) AS j
    STRAIGHT_JOIN rooms AS r ON r.room_id = UNHEX(REPLACE(j.room_id, '-', ''))
   WHERE j.digest IS NOT NULL AND r.deleted_at IS NULL
  ON DUPLICATE KEY UPDATE digest = approved_calls.digest;
END
//
DELIMITER ;
