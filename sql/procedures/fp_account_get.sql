-- fp_account_get: an account's row, if there is one
-- Database: global
-- Design: unlike fp_account_open it makes none: operators ask about names that they mistype.
-- Parameters: p_account_id, compared byte by byte.
-- Result sets: one row, or none: account_id, account_db_key, partition_id, not_before, standing, standing_at.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_get;

DELIMITER //
CREATE PROCEDURE fp_account_get(IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT CONVERT(account_id USING utf8mb4), account_db_key, partition_id, not_before, standing, standing_at
    FROM accounts
   WHERE account_id = CAST(p_account_id AS BINARY);
END
//
DELIMITER ;
