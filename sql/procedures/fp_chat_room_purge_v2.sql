-- fp_chat_room_purge_v2: takes what a deleted room held out of the tables
-- Database: shard
-- Design: 1. The room's row stays as its tombstone: without title, summary and what another program noted of it, its id
--   among that, and a late create still finds the place taken. 2. At most p_limit messages, and as many versions and
--   entries of the search, at a time, so that no transaction is long. 3. A room that is not deleted is left alone.
-- Parameters: p_room_id; p_limit.
-- Result sets: one row: how many rows were taken out; 0: nothing is left.
-- Errors: none.
-- Safe to repeat because: what is gone is gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_chat_room_purge_v2;

DELIMITER //
CREATE PROCEDURE fp_chat_room_purge_v2(IN p_room_id VARCHAR(64), IN p_limit INT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_room BINARY(16) DEFAULT UNHEX(REPLACE(p_room_id, '-', ''));
  DECLARE v_gone BIGINT DEFAULT 0;
  DECLARE v_deleted BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  SELECT MAX(deleted_at) INTO v_deleted FROM rooms WHERE room_id = v_room FOR UPDATE;
  IF v_deleted IS NOT NULL THEN
    DELETE FROM message_search WHERE room_id = v_room ORDER BY seq LIMIT p_limit;
    SET v_gone = ROW_COUNT();
    DELETE FROM message_versions WHERE room_id = v_room ORDER BY seq, version LIMIT p_limit;
    SET v_gone = v_gone + ROW_COUNT();
    DELETE FROM messages WHERE room_id = v_room ORDER BY seq LIMIT p_limit;
    SET v_gone = v_gone + ROW_COUNT();
    UPDATE rooms SET title = '', summary = NULL, external_id = NULL, metadata = NULL WHERE room_id = v_room;
  END IF;
  COMMIT;
  SELECT v_gone;
END
//
DELIMITER ;
