-- fp_chat_room_update_v3: gives rooms new titles, personas and metadata (CHAT_ROOM_UPDATE)
-- Database: shard
-- Design: the higher version wins; a deleted room is left alone. What is absent stays: ai_persona, as a program of
--   before personas could change sends it, and metadata, of a program of before there was any. STRAIGHT_JOIN and FORCE
--   INDEX: a server that takes rooms for small would scan it, and wait for locks of other partitions' writers. Does not
--   commit.
-- Parameters: p_batch: [{room_id, title, ai_persona, metadata, version}], one for each room at most, in the order of
--   room_id.
-- Result sets: none.
-- Errors: 22001 for a text that is longer than its column; JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: the same version again changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_update_v3;

DELIMITER //
CREATE PROCEDURE fp_chat_room_update_v3(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  UPDATE JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           title   MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.title' ERROR ON EMPTY ERROR ON ERROR,
           ai_persona MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.ai_persona' NULL ON EMPTY ERROR ON ERROR,
           metadata MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.metadata' NULL ON EMPTY ERROR ON ERROR,
           version BIGINT PATH '$.version' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN rooms AS r FORCE INDEX (PRIMARY) ON r.room_id = UNHEX(REPLACE(j.room_id, '-', ''))
     SET r.title = j.title, r.ai_persona = COALESCE(j.ai_persona, r.ai_persona),
         r.metadata = COALESCE(j.metadata, r.metadata), r.version = j.version
   WHERE j.version > r.version AND r.deleted_at IS NULL;
END
//
DELIMITER ;
