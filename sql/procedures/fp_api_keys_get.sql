-- fp_api_keys_get: a page of an account's keys
-- Database: global
-- Design: by the key of (account, key_id). The digest is not told.
-- Parameters: p_account_db_key; p_after, a key_id, or '' for the first page; p_limit.
-- Result sets: one, oldest first: key_id, name, scopes, created_at, expires_at, used_at.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_api_keys_get;

DELIMITER //
CREATE PROCEDURE fp_api_keys_get(
  IN p_account_db_key BIGINT, IN p_after VARCHAR(1000) CHARACTER SET utf8mb4, IN p_limit INT
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT k.key_id, k.name, k.scopes, k.created_at, k.expires_at, k.used_at
    FROM api_keys AS k
   WHERE k.account_db_key = p_account_db_key AND k.key_id > p_after
   ORDER BY k.key_id
   LIMIT p_limit;
END
//
DELIMITER ;
