-- fp_file_uses_release_rooms: the messages of deleted rooms name no files any more
-- Database: shard
-- Design: as fp_file_uses_release_messages, with what fp_chat_room_delete is called with. Does not commit.
-- Parameters: p_batch: [{room_id, deleted_at, ...}].
-- Result sets: none.
-- Errors: JSON_TABLE's own for a batch of another shape.
-- Safe to repeat because: uses that are gone release nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_uses_release_rooms;

DELIMITER //
CREATE PROCEDURE fp_file_uses_release_rooms(IN p_batch JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO file_releases (file_id, released_at)
  SELECT u.file_id, j.deleted_at
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (
           room_id    VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR,
           deleted_at BIGINT PATH '$.deleted_at' ERROR ON EMPTY ERROR ON ERROR
         )) AS j
    STRAIGHT_JOIN file_uses AS u FORCE INDEX (file_uses_by_room) ON u.room_id = UNHEX(REPLACE(j.room_id, '-', ''))
  ON DUPLICATE KEY UPDATE released_at = file_releases.released_at;

  DELETE u
    FROM JSON_TABLE(p_batch, '$[*]' COLUMNS (room_id VARCHAR(64) PATH '$.room_id' ERROR ON EMPTY ERROR ON ERROR)) AS j
    STRAIGHT_JOIN file_uses AS u FORCE INDEX (file_uses_by_room) ON u.room_id = UNHEX(REPLACE(j.room_id, '-', ''));
END
//
DELIMITER ;
