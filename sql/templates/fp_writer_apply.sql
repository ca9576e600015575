-- {{name}}: applies a writer's batch: one transaction
-- Database: shard
-- Design: 1. A fence is one UPDATE of the partition's row: it locks the row, compares epoch, incarnation and
--   watermark, and moves the watermark, so that nothing can come between. It is an exclusive lock from the start: a
--   shared one that is upgraded later invites deadlocks. 2. Fences are taken in the order of the array, which is that
--   of the partitions. 3. One fence that fails refuses the whole batch. A watermark that would not move forward is a
--   failed fence too: the batch was applied before, or another writer is further. 4. Entries of an earlier incarnation
--   may still wait in the queue when a new one was minted: they are below it, so they are applied; one that was never
--   minted is refused. 5. The parts commit with the watermarks or not at all. 6. An empty part is not called: to
--   call all of them made a batch of 50 messages more than a third slower. 7. While a partition is copied to another
--   shard, what changes is noted. That is looked at behind the fences: whoever began to copy had their row meanwhile.
--   8. Messages come by themselves: a server that looks for a part that is not there reads all of p_batch.
-- Parameters: p_fences: [{partition, epoch, incarnation, number}], ascending partition. p_batch: an object with an
--   array for each part: room_creates, version_saves, room_touches, room_updates, summary_saves, message_deletes,
--   room_deletes, uses, search_notes, call_notes; version_saves last, they are the longest. A part that is not there is
--   an empty one, as a program of before the part sends it. p_saves: what fp_chat_message_save takes.
-- Result sets: one row: JSON array of the refused partitions; empty when the batch is committed.
-- Errors: those of the procedures that it calls, after ROLLBACK.
-- Safe to repeat because: the second time its fences fail and nothing is applied.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS {{name}};

DELIMITER //
CREATE PROCEDURE {{name}}(IN p_fences JSON, IN p_batch JSON, IN p_saves JSON)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_refused JSON DEFAULT JSON_ARRAY();
  DECLARE v_index, v_leaving INT DEFAULT 0;
  DECLARE v_fence, v_part JSON;
  DECLARE v_partition_id INT;
  DECLARE v_epoch, v_incarnation, v_number BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;

  START TRANSACTION;
  WHILE v_index < JSON_LENGTH(p_fences) DO
    SET v_fence = JSON_EXTRACT(p_fences, CONCAT('$[', v_index, ']'));
    SET v_partition_id = JSON_EXTRACT(v_fence, '$.partition');
    SET v_epoch = JSON_EXTRACT(v_fence, '$.epoch');
    SET v_incarnation = JSON_EXTRACT(v_fence, '$.incarnation');
    SET v_number = JSON_EXTRACT(v_fence, '$.number');
    UPDATE partition_progress
       SET applied_incarnation = v_incarnation, applied_number = v_number
     WHERE partition_id = v_partition_id AND epoch = v_epoch AND incarnation >= v_incarnation
       AND (applied_incarnation < v_incarnation
            OR (applied_incarnation = v_incarnation AND applied_number < v_number));
    IF ROW_COUNT() <> 1 THEN
      SET v_refused = JSON_ARRAY_APPEND(v_refused, '$', v_partition_id);
    END IF;
    SET v_index = v_index + 1;
  END WHILE;

  IF JSON_LENGTH(v_refused) > 0 THEN
    ROLLBACK;
  ELSE
    SET v_part = JSON_EXTRACT(p_batch, '$.room_creates');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_chat_room_create}}(v_part); END IF;
    IF JSON_LENGTH(p_saves) > 0 THEN CALL {{fp_chat_message_save}}(p_saves); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.version_saves');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_chat_message_version_save}}(v_part); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.room_touches');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_chat_room_touch}}(v_part); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.room_updates');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_chat_room_update}}(v_part); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.summary_saves');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_chat_room_summary_save}}(v_part); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.message_deletes');
    IF JSON_LENGTH(v_part) > 0 THEN
      CALL {{fp_chat_message_delete}}(v_part);
      CALL {{fp_file_uses_release_messages}}(v_part);
    END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.room_deletes');
    IF JSON_LENGTH(v_part) > 0 THEN
      CALL {{fp_chat_room_delete}}(v_part);
      CALL {{fp_file_uses_release_rooms}}(v_part);
      CALL {{fp_calls_drop_rooms}}(v_part);
    END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.uses');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_account_use_add}}(v_part); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.search_notes');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_search_note}}(v_part); END IF;
    SET v_part = JSON_EXTRACT(p_batch, '$.call_notes');
    IF JSON_LENGTH(v_part) > 0 THEN CALL {{fp_calls_note}}(v_part); END IF;
    SELECT COUNT(*) INTO v_leaving FROM partition_homes WHERE state = 'leaving';
    IF v_leaving > 0 THEN
      CALL {{fp_partition_changes_note}}(p_batch, p_saves);
    END IF;
    COMMIT;
  END IF;
  SELECT CAST(v_refused AS CHAR) AS refused;
END
//
DELIMITER ;
