-- fp_account_revoke: ends what was issued to an account before a time
-- Database: global
-- Design: the time never goes back. Replicas are told in the same transaction.
-- Parameters: p_account_id; p_not_before, Unix milliseconds.
-- Result sets: one row: the not_before that holds; none for an account that there is not.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: the same time changes nothing, and replicas are told again.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_revoke;

DELIMITER //
CREATE PROCEDURE fp_account_revoke(IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4, IN p_not_before BIGINT)
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
  UPDATE accounts SET not_before = GREATEST(not_before, p_not_before) WHERE account_id = v_account_id;
  CALL fp_access_change_add('account-revoked', p_account_id, p_not_before);
  SELECT not_before FROM accounts WHERE account_id = v_account_id;
  COMMIT;
END
//
DELIMITER ;
