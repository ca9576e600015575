-- fp_file_release_next: takes a file away that no message names any more
-- Database: shard
-- Design: the oldest release. The account's row is locked, as by a message that is about to name the file.
-- Parameters: p_now, Unix milliseconds.
-- Result sets: one row: the file_id, and the blob_id of bytes to delete, or NULL; none when nothing was released.
-- Errors: none.
-- Safe to repeat because: each call takes another release.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_release_next;

DELIMITER //
CREATE PROCEDURE fp_file_release_next(IN p_now BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_file, v_blob BINARY(16);
  DECLARE v_account BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  SET v_file = (SELECT file_id FROM file_releases ORDER BY released_at, file_id LIMIT 1);
  SET v_account = (SELECT account_db_key FROM files WHERE file_id = v_file);
  START TRANSACTION;
  SELECT MAX(account_db_key) INTO v_account FROM files_of_accounts WHERE account_db_key = v_account FOR UPDATE;
  IF NOT EXISTS (SELECT 1 FROM file_uses WHERE file_id = v_file) THEN
    SELECT MAX(blob_id) INTO v_blob FROM files WHERE file_id = v_file;
    DELETE FROM files WHERE file_id = v_file;
    IF EXISTS (SELECT 1 FROM files WHERE blob_id = v_blob) THEN
      SET v_blob = NULL;
    END IF;
    IF v_blob IS NOT NULL THEN
      INSERT INTO file_removals (blob_id, removed_at) VALUES (v_blob, p_now)
      ON DUPLICATE KEY UPDATE removed_at = file_removals.removed_at;
    END IF;
  END IF;
  DELETE FROM file_releases WHERE file_id = v_file;
  COMMIT;
  SELECT v_file, v_blob FROM (SELECT 1) AS one WHERE v_file IS NOT NULL;
END
//
DELIMITER ;
