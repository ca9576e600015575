-- fp_account_daily_get: an account's statistics, a row for each day
-- Database: shard
-- Design: by primary key.
-- Parameters: p_account_db_key; p_first and p_last, both included, YYYY-MM-DD.
-- Result sets: one, ascending day: account_db_key, day (YYYY-MM-DD), messages, input_tokens, output_tokens.
-- Errors: 22007 for a day that is none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_daily_get;

DELIMITER //
CREATE PROCEDURE fp_account_daily_get(
  IN p_account_db_key BIGINT, IN p_first VARCHAR(64), IN p_last VARCHAR(64)
)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT d.account_db_key, CAST(d.day AS CHAR), d.messages, d.input_tokens, d.output_tokens
    FROM account_daily AS d
   WHERE d.account_db_key = p_account_db_key AND d.day BETWEEN p_first AND p_last
   ORDER BY d.day;
END
//
DELIMITER ;
