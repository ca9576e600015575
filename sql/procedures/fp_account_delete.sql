-- fp_account_delete: shuts an account out for ever, ends its keys, and writes the receipt
-- Database: global
-- Design: 1. All of it is one transaction, and replicas are told in it. 2. Its rooms are deleted afterwards, by whoever
--   finds the receipt unfinished (fp_account_deletions_get). 3. The first receipt stays.
-- Parameters: p_account_id; p_receipt_id; p_requested_at, Unix milliseconds.
-- Result sets: one row, or none for an account that there is not: account_id, account_db_key, partition_id, receipt_id,
--   requested_at, finished_at, rooms.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: an account that is deleted already keeps its receipt, which is the answer.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_delete;

DELIMITER //
CREATE PROCEDURE fp_account_delete(
  IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4, IN p_receipt_id VARCHAR(64), IN p_requested_at BIGINT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account_id VARBINARY(1020) DEFAULT CAST(p_account_id AS BINARY);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  UPDATE accounts SET standing_at = GREATEST(standing_at + 1, p_requested_at), standing = 'deleted'
   WHERE account_id = v_account_id AND standing <> 'deleted';
  IF ROW_COUNT() > 0 THEN
    DELETE k FROM api_keys AS k JOIN accounts AS a ON a.account_db_key = k.account_db_key
     WHERE a.account_id = v_account_id;
    INSERT INTO account_deletions (account_db_key, receipt_id, requested_at, rooms)
    SELECT account_db_key, p_receipt_id, p_requested_at, 0 FROM accounts WHERE account_id = v_account_id;
    CALL fp_access_change_add('account-deleted', p_account_id, p_requested_at);
  END IF;
  SELECT CONVERT(a.account_id USING utf8mb4), a.account_db_key, a.partition_id, d.receipt_id, d.requested_at,
         d.finished_at, d.rooms
    FROM account_deletions AS d
    JOIN accounts AS a ON a.account_db_key = d.account_db_key
   WHERE a.account_id = v_account_id;
  COMMIT;
END
//
DELIMITER ;
