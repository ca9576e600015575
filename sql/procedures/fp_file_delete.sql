-- fp_file_delete: deletes a file of an account
-- Database: shard
-- Design: bytes that no row names any more are noted in the same transaction, so that they are deleted even when the
--   caller does not get to it.
-- Parameters: p_file_id, 36 characters; p_account_db_key; p_deleted_at, Unix milliseconds.
-- Result sets: one row: 1, or 0 for a file that this account does not have; the blob_id of bytes to delete, or NULL.
-- Errors: none.
-- Safe to repeat because: a file that is gone stays gone; the answer is then 0 and NULL.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_delete;

DELIMITER //
CREATE PROCEDURE fp_file_delete(IN p_file_id VARCHAR(64), IN p_account_db_key BIGINT, IN p_deleted_at BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_lock BIGINT;
  DECLARE v_blob BINARY(16);
  DECLARE v_gone INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  SELECT MAX(account_db_key) INTO v_lock FROM files_of_accounts WHERE account_db_key = p_account_db_key FOR UPDATE;
  SELECT MAX(blob_id) INTO v_blob FROM files
   WHERE file_id = UNHEX(REPLACE(p_file_id, '-', '')) AND account_db_key = p_account_db_key;
  DELETE FROM files WHERE file_id = UNHEX(REPLACE(p_file_id, '-', '')) AND account_db_key = p_account_db_key;
  SET v_gone = ROW_COUNT();
  IF EXISTS (SELECT 1 FROM files WHERE blob_id = v_blob) THEN
    SET v_blob = NULL;
  END IF;
  IF v_blob IS NOT NULL THEN
    INSERT INTO file_removals (blob_id, removed_at) VALUES (v_blob, p_deleted_at)
    ON DUPLICATE KEY UPDATE removed_at = file_removals.removed_at;
  END IF;
  COMMIT;
  SELECT v_gone, v_blob;
END
//
DELIMITER ;
