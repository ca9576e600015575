-- fp_account_use_purge: takes what an account has used out of the tables
-- Database: shard
-- Design: at most p_limit rows of each table at a time.
-- Parameters: p_account_db_key; p_limit.
-- Result sets: one row: how many rows were taken out; 0: nothing is left.
-- Errors: none.
-- Safe to repeat because: what is gone is gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_use_purge;

DELIMITER //
CREATE PROCEDURE fp_account_use_purge(IN p_account_db_key BIGINT, IN p_limit INT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_gone BIGINT;
  DELETE FROM account_use WHERE account_db_key = p_account_db_key ORDER BY quarter LIMIT p_limit;
  SET v_gone = ROW_COUNT();
  DELETE FROM account_daily WHERE account_db_key = p_account_db_key ORDER BY day LIMIT p_limit;
  SELECT v_gone + ROW_COUNT();
END
//
DELIMITER ;
