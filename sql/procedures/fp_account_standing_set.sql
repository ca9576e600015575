-- fp_account_standing_set: disables an account, or lets it in again
-- Database: global
-- Design: 1. The row is locked first: of two changes at a time the later one holds, and standing_at never goes back.
--   2. A deleted account stays deleted. 3. Replicas are told in the same transaction.
-- Parameters: p_account_id; p_standing, 'active' or 'disabled'; p_changed_at, Unix milliseconds.
-- Result sets: one row, or none for an account that there is not: as fp_account_get.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: a standing that the account has already is not set again.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_standing_set;

DELIMITER //
CREATE PROCEDURE fp_account_standing_set(
  IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4, IN p_standing VARCHAR(16), IN p_changed_at BIGINT
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
  UPDATE accounts SET standing_at = GREATEST(standing_at + 1, p_changed_at), standing = p_standing
   WHERE account_id = v_account_id AND standing NOT IN ('deleted', p_standing);
  IF ROW_COUNT() > 0 THEN
    CALL fp_access_change_add(CONCAT('account-', p_standing), p_account_id, p_changed_at);
  END IF;
  SELECT CONVERT(account_id USING utf8mb4), account_db_key, partition_id, not_before, standing, standing_at
    FROM accounts
   WHERE account_id = v_account_id;
  COMMIT;
END
//
DELIMITER ;
