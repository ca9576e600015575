-- fp_file_release_next_v2: deletes the next file that a deleted message named, unless another message names it
-- Database: shard
-- Design: 1. The oldest release of a partition that is at home here or leaves: of one that arrives, or that is fenced,
--      the uses are not all here. Its row is locked, so that nobody fences it meanwhile. Bits 52 to 63 of an id are its
--      partition. 2. The account's row is locked, as by a message that is about to name the file.
-- Parameters: p_now, Unix milliseconds.
-- Result sets: none or one: file_id; blob_id of bytes that no file names any more, or NULL.
-- Errors: none
-- Safe to repeat because: a release that was taken out is not found again.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_release_next_v2;

DELIMITER //
CREATE PROCEDURE fp_file_release_next_v2(IN p_now BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_file, v_blob BINARY(16);
  DECLARE v_account BIGINT;
  DECLARE v_state VARCHAR(16);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  SET v_file = (SELECT r.file_id FROM file_releases AS r
                 WHERE NOT EXISTS (SELECT 1 FROM partition_homes AS h
                                    WHERE h.partition_id = CONV(HEX(SUBSTRING(r.file_id, 7, 2)), 16, 10) & 4095
                                      AND h.state NOT IN ('home', 'leaving'))
                 ORDER BY r.released_at, r.file_id LIMIT 1);
  SELECT MAX(h.state) INTO v_state FROM partition_homes AS h
   WHERE h.partition_id = CONV(HEX(SUBSTRING(v_file, 7, 2)), 16, 10) & 4095 LOCK IN SHARE MODE;
  IF COALESCE(v_state, 'home') NOT IN ('home', 'leaving') THEN
    SET v_file = NULL;
  END IF;
  SET v_account = (SELECT account_db_key FROM files WHERE file_id = v_file);
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
