-- fp_file_lost: takes away a file whose bytes are lost
-- Database: shard
-- Design: for repairs. The account's row is locked, as by an upload that would take the lost bytes for its own.
-- Parameters: p_file_id, 36 characters.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: a file that is gone stays gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_lost;

DELIMITER //
CREATE PROCEDURE fp_file_lost(IN p_file_id VARCHAR(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account, v_lock BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  SET v_account = (SELECT account_db_key FROM files WHERE file_id = UNHEX(REPLACE(p_file_id, '-', '')));
  START TRANSACTION;
  SELECT MAX(account_db_key) INTO v_lock FROM files_of_accounts WHERE account_db_key = v_account FOR UPDATE;
  DELETE FROM files WHERE file_id = UNHEX(REPLACE(p_file_id, '-', ''));
  COMMIT;
END
//
DELIMITER ;
