-- fp_account_limits_find: the limits that an account has of its own
-- Database: global
-- Design: see sql/0022_global_account_limits.sql.
-- Parameters: p_account_id, compared byte by byte.
-- Result sets: one row, or none: account_id, limits, revision.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_limits_find;

DELIMITER //
CREATE PROCEDURE fp_account_limits_find(IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT CONVERT(account_id USING utf8mb4), limits, revision
    FROM account_limits
   WHERE account_id = CAST(p_account_id AS BINARY);
END
//
DELIMITER ;
