-- fp_api_key_delete: ends a key of an account
-- Database: global
-- Design: replicas are told in the same transaction.
-- Parameters: p_account_db_key; p_key_id; p_deleted_at, Unix milliseconds.
-- Result sets: one row: 1, or 0 for a key that this account does not have.
-- Errors: none.
-- Safe to repeat because: a key that is gone stays gone; the answer is then 0.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_api_key_delete;

DELIMITER //
CREATE PROCEDURE fp_api_key_delete(IN p_account_db_key BIGINT, IN p_key_id VARCHAR(64), IN p_deleted_at BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_gone INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  DELETE FROM api_keys WHERE key_id = p_key_id AND account_db_key = p_account_db_key;
  SET v_gone = ROW_COUNT();
  IF v_gone > 0 THEN
    CALL fp_access_change_add('api-key-ended', p_key_id, p_deleted_at);
  END IF;
  COMMIT;
  SELECT v_gone;
END
//
DELIMITER ;
