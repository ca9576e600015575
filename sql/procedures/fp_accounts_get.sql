-- fp_accounts_get: a page of the accounts
-- Database: global
-- Design: by primary key, the order in which they were first seen.
-- Parameters: p_after, an account_db_key, or 0 for the first page; p_limit.
-- Result sets: one, ascending account_db_key: account_id, account_db_key, partition_id, not_before, standing,
--   standing_at.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_accounts_get;

DELIMITER //
CREATE PROCEDURE fp_accounts_get(IN p_after BIGINT, IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT CONVERT(account_id USING utf8mb4), account_db_key, partition_id, not_before, standing, standing_at
    FROM accounts
   WHERE account_db_key > p_after
   ORDER BY account_db_key
   LIMIT p_limit;
END
//
DELIMITER ;
