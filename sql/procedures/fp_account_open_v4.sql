-- fp_account_open_v4: an account's row, made when first seen unless there are enough
-- Database: global
-- Design: 1. The partition is CRC32 of the account's name over the number of partitions, chosen once and kept: the row
--   has it from then on. 2. Read first: an upsert would use up an auto-increment value each time. 3. New accounts are
--   counted one after the other, by the lock on meta: many at once do not exceed p_most. Deleted ones do not count.
-- Parameters: p_account_id, at most 255 characters, compared byte by byte; p_most accounts, NULL for any number.
-- Result sets: one row: account_id, account_db_key, partition_id, not_before, standing, standing_at; only NULLs when
--   there are p_most accounts; none when meta is empty.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: a second insert finds the row and changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_open_v4;

DELIMITER //
CREATE PROCEDURE fp_account_open_v4(IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4, IN p_most BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account_id VARBINARY(1020) DEFAULT CAST(p_account_id AS BINARY);
  DECLARE v_partitions INT DEFAULT NULL;
  DECLARE v_refused BOOLEAN DEFAULT FALSE;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  IF NOT EXISTS (SELECT 1 FROM accounts WHERE account_id = v_account_id) THEN
    START TRANSACTION;
    SELECT MAX(partitions) INTO v_partitions FROM meta FOR UPDATE;
    SET v_refused = v_partitions IS NOT NULL AND p_most IS NOT NULL
      AND (SELECT COUNT(*) FROM accounts WHERE standing <> 'deleted') >= p_most
      AND NOT EXISTS (SELECT 1 FROM accounts WHERE account_id = v_account_id);
    IF v_partitions IS NOT NULL AND NOT v_refused THEN
      INSERT INTO accounts (account_id, partition_id)
      VALUES (v_account_id, CRC32(v_account_id) MOD v_partitions)
      ON DUPLICATE KEY UPDATE account_id = accounts.account_id;
    END IF;
    COMMIT;
  END IF;
  SELECT CONVERT(account_id USING utf8mb4), account_db_key, partition_id, not_before, standing, standing_at
    FROM accounts
   WHERE account_id = v_account_id
   UNION ALL
  SELECT NULL, NULL, NULL, NULL, NULL, NULL FROM meta WHERE v_refused;
END
//
DELIMITER ;
