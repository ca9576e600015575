-- fp_account_deletion_get: the receipt of a deleted account
-- Database: global
-- Design: by the account's name.
-- Parameters: p_account_id.
-- Result sets: one row, or none: as fp_account_delete.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_deletion_get;

DELIMITER //
CREATE PROCEDURE fp_account_deletion_get(IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT CONVERT(a.account_id USING utf8mb4), a.account_db_key, a.partition_id, d.receipt_id, d.requested_at,
         d.finished_at, d.rooms
    FROM account_deletions AS d
    JOIN accounts AS a ON a.account_db_key = d.account_db_key
   WHERE a.account_id = CAST(p_account_id AS BINARY);
END
//
DELIMITER ;
