-- fp_account_limits_change: sets limits of an account, and leaves its others
-- Database: global
-- Design: 1. The account's row is locked first, then access_head's, as where the standing is changed. 2. A change is a
--   merge patch (RFC 7396): null takes a limit out. 3. Processes find it by its revision.
-- Parameters: p_account_id; p_changes, a JSON object; p_changed_at, Unix milliseconds.
-- Result sets: one row: account_id, limits, revision; none for an account that there is not, or that was deleted.
-- Errors: 22001 for a longer name, or too much JSON.
-- Safe to repeat because: the values are absolute; the revision only has processes read them again.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_limits_change;

DELIMITER //
CREATE PROCEDURE fp_account_limits_change(
  IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4, IN p_changes TEXT CHARACTER SET utf8mb4, IN p_changed_at BIGINT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account_id VARBINARY(1020) DEFAULT CAST(p_account_id AS BINARY);
  DECLARE v_standing VARCHAR(16);
  DECLARE v_revision BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  SET v_standing = (SELECT standing FROM accounts WHERE account_id = v_account_id FOR UPDATE);
  IF v_standing <> 'deleted' THEN
    CALL fp_access_change_add('account-limits', p_account_id, p_changed_at);
    SELECT revision INTO v_revision FROM access_head WHERE id = 1;
    INSERT INTO account_limits (account_id, limits, revision)
    VALUES (v_account_id, JSON_MERGE_PATCH('{}', p_changes), v_revision)
    ON DUPLICATE KEY UPDATE limits = JSON_MERGE_PATCH(account_limits.limits, p_changes), revision = v_revision;
    SELECT CONVERT(account_id USING utf8mb4), limits, revision FROM account_limits WHERE account_id = v_account_id;
  END IF;
  COMMIT;
END
//
DELIMITER ;
