-- fp_file_uses_add: a message that is about to be sent names files of its account
-- Database: shard
-- Design: the account's row is locked, as by whoever removes a file: a file that is found here stays while the message
--   names it. Called before the message is appended; all of the files, or none.
-- Parameters: p_files, a JSON array of different file_ids, 36 characters each; p_account_db_key; p_message_id;
--   p_room_id.
-- Result sets: one: rows like fp_file_get's, of those that the account has. Fewer than asked for: nothing was noted.
-- Errors: JSON_TABLE's own for something else than an array.
-- Safe to repeat because: a row that is there stays.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_uses_add;

DELIMITER //
CREATE PROCEDURE fp_file_uses_add(
  IN p_files JSON, IN p_account_db_key BIGINT, IN p_message_id VARCHAR(64), IN p_room_id VARCHAR(64)
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_lock BIGINT;
  DECLARE v_found INT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  SELECT MAX(account_db_key) INTO v_lock FROM files_of_accounts WHERE account_db_key = p_account_db_key FOR UPDATE;
  SELECT COUNT(*) INTO v_found
    FROM JSON_TABLE(p_files, '$[*]' COLUMNS (file_id VARCHAR(64) PATH '$' ERROR ON EMPTY ERROR ON ERROR)) AS j
    JOIN files AS f ON f.file_id = UNHEX(REPLACE(j.file_id, '-', '')) AND f.account_db_key = p_account_db_key;
  IF v_found = JSON_LENGTH(p_files) THEN
    INSERT INTO file_uses (file_id, message_id, room_id)
    SELECT UNHEX(REPLACE(j.file_id, '-', '')), UNHEX(REPLACE(p_message_id, '-', '')),
           UNHEX(REPLACE(p_room_id, '-', ''))
      FROM JSON_TABLE(p_files, '$[*]' COLUMNS (file_id VARCHAR(64) PATH '$' ERROR ON EMPTY ERROR ON ERROR)) AS j
    ON DUPLICATE KEY UPDATE room_id = file_uses.room_id;
  END IF;
  SELECT f.file_id, f.blob_id, f.name, f.media_type, f.size, f.sha256, f.created_at
    FROM JSON_TABLE(p_files, '$[*]' COLUMNS (file_id VARCHAR(64) PATH '$' ERROR ON EMPTY ERROR ON ERROR)) AS j
    JOIN files AS f ON f.file_id = UNHEX(REPLACE(j.file_id, '-', '')) AND f.account_db_key = p_account_db_key;
  COMMIT;
END
//
DELIMITER ;
