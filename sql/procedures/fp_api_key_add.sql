-- fp_api_key_add: a key of an account
-- Database: global
-- Design: the account's row is locked while its keys are counted, so that no more than p_most come to be.
-- Parameters: p_key_id; p_account_db_key; p_name; p_digest, SHA-256 in hexadecimal; p_scopes, words between blanks;
--   p_created_at; p_expires_at or NULL, Unix milliseconds; p_most, the account's limit.
-- Result sets: one row: 1, or 0 when the account has its limit or does not exist.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: a key_id that is there is not added again, and the answer is 1.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_api_key_add;

DELIMITER //
CREATE PROCEDURE fp_api_key_add(
  IN p_key_id VARCHAR(64), IN p_account_db_key BIGINT, IN p_name VARCHAR(1000) CHARACTER SET utf8mb4,
  IN p_digest VARCHAR(128), IN p_scopes VARCHAR(128), IN p_created_at BIGINT, IN p_expires_at BIGINT, IN p_most INT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  SELECT MAX(account_db_key) INTO v_account FROM accounts WHERE account_db_key = p_account_db_key FOR UPDATE;
  IF v_account IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM api_keys WHERE key_id = p_key_id)
     AND (SELECT COUNT(*) FROM api_keys WHERE account_db_key = p_account_db_key) < p_most THEN
    INSERT INTO api_keys (key_id, account_db_key, name, digest, scopes, created_at, expires_at)
    VALUES (p_key_id, p_account_db_key, p_name, p_digest, p_scopes, p_created_at, p_expires_at);
  END IF;
  SELECT COUNT(*) FROM api_keys WHERE key_id = p_key_id AND account_db_key = p_account_db_key;
  COMMIT;
END
//
DELIMITER ;
