-- fp_api_key_find: whose key it is
-- Database: global
-- Design: by primary key. The caller compares the digest.
-- Parameters: p_key_id.
-- Result sets: one row, or none: key_id, account_id, digest, scopes, created_at, expires_at, used_at.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_api_key_find;

DELIMITER //
CREATE PROCEDURE fp_api_key_find(IN p_key_id VARCHAR(64))
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT k.key_id, CONVERT(a.account_id USING utf8mb4), k.digest, k.scopes, k.created_at, k.expires_at, k.used_at
    FROM api_keys AS k
    JOIN accounts AS a ON a.account_db_key = k.account_db_key
   WHERE k.key_id = p_key_id;
END
//
DELIMITER ;
