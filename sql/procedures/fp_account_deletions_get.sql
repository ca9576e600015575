-- fp_account_deletions_get: a page of receipts, of deletions that go on or of those that are done
-- Database: global
-- Design: by the key of (finished_at, account_db_key) for those that go on: asked every second, and nearly always
--   empty.
-- Parameters: p_finished, 0 or 1; p_after, an account_db_key, or 0 for the first page; p_limit.
-- Result sets: one, ascending account_db_key: as fp_account_delete.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_deletions_get;

DELIMITER //
CREATE PROCEDURE fp_account_deletions_get(IN p_finished INT, IN p_after BIGINT, IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  IF p_finished THEN
    SELECT CONVERT(a.account_id USING utf8mb4), a.account_db_key, a.partition_id, d.receipt_id, d.requested_at,
         d.finished_at, d.rooms
      FROM account_deletions AS d
      JOIN accounts AS a ON a.account_db_key = d.account_db_key
     WHERE d.finished_at IS NOT NULL AND d.account_db_key > p_after
     ORDER BY d.account_db_key
     LIMIT p_limit;
  ELSE
    SELECT CONVERT(a.account_id USING utf8mb4), a.account_db_key, a.partition_id, d.receipt_id, d.requested_at,
         d.finished_at, d.rooms
      FROM account_deletions AS d
      JOIN accounts AS a ON a.account_db_key = d.account_db_key
     WHERE d.finished_at IS NULL AND d.account_db_key > p_after
     ORDER BY d.account_db_key
     LIMIT p_limit;
  END IF;
END
//
DELIMITER ;
