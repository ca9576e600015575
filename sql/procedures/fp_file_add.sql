-- fp_file_add: a file of an account, whose bytes are in the file store already
-- Database: shard
-- Design: the account's row is locked, so that its limits hold however many uploads end at once. An account's equal
--   bytes count once, and the same bytes under the same name are the file that is there.
-- Parameters: p_file_id, 36 characters, which also names the bytes that were just stored; p_account_db_key; p_name;
--   p_media_type; p_size; p_sha256, hexadecimal; p_created_at, Unix milliseconds; p_bytes_most and p_files_most, the
--   account's limits, or NULL.
-- Result sets: one row like fp_file_get's; none when the account has its limit. Another blob_id than p_file_id means
--   that the bytes were there already: the new ones are the caller's to delete.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: the second time the file is there.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_add;

DELIMITER //
CREATE PROCEDURE fp_file_add(
  IN p_file_id VARCHAR(64), IN p_account_db_key BIGINT, IN p_name VARCHAR(1000) CHARACTER SET utf8mb4,
  IN p_media_type VARCHAR(1000) CHARACTER SET utf8mb4, IN p_size BIGINT, IN p_sha256 VARCHAR(128),
  IN p_created_at BIGINT, IN p_bytes_most BIGINT, IN p_files_most BIGINT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_lock BIGINT;
  DECLARE v_file BINARY(16);
  DECLARE v_blob BINARY(16);
  DECLARE v_files BIGINT;
  DECLARE v_bytes BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  INSERT INTO files_of_accounts (account_db_key) VALUES (p_account_db_key)
  ON DUPLICATE KEY UPDATE account_db_key = files_of_accounts.account_db_key;
  SELECT account_db_key INTO v_lock FROM files_of_accounts WHERE account_db_key = p_account_db_key FOR UPDATE;
  SELECT MIN(file_id) INTO v_file FROM files
   WHERE account_db_key = p_account_db_key AND sha256 = p_sha256 AND name = p_name AND media_type = p_media_type;
  IF v_file IS NULL THEN
    SELECT MIN(blob_id) INTO v_blob FROM files WHERE account_db_key = p_account_db_key AND sha256 = p_sha256;
    SELECT COALESCE(SUM(b.files), 0), COALESCE(SUM(b.size), 0) INTO v_files, v_bytes
      FROM (SELECT COUNT(*) AS files, MAX(size) AS size FROM files
             WHERE account_db_key = p_account_db_key GROUP BY blob_id) AS b;
    IF v_files < COALESCE(p_files_most, v_files + 1)
       AND (v_blob IS NOT NULL OR v_bytes + p_size <= COALESCE(p_bytes_most, v_bytes + p_size)) THEN
      SET v_file = UNHEX(REPLACE(p_file_id, '-', ''));
      INSERT INTO files (file_id, account_db_key, blob_id, name, media_type, size, sha256, created_at)
      VALUES (v_file, p_account_db_key, COALESCE(v_blob, v_file), p_name, p_media_type, p_size, p_sha256, p_created_at);
    END IF;
  END IF;
  SELECT file_id, blob_id, name, media_type, size, sha256, created_at FROM files WHERE file_id = v_file;
  COMMIT;
END
//
DELIMITER ;
