-- fp_account_open_v3: an account's row, made when first seen
-- Database: global
-- Design: the partition is CRC32 of the account's name over the number of partitions, chosen once and kept: the row
--   has it from then on. Read first: an upsert would use up an auto-increment value each time.
-- Parameters: p_account_id, at most 255 characters, compared byte by byte.
-- Result sets: one row: account_id, account_db_key, partition_id, not_before, standing, standing_at; none when meta is
--   empty.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: a second insert finds the row and changes nothing.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_open_v3;

DELIMITER //
CREATE PROCEDURE fp_account_open_v3(IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account_id VARBINARY(1020) DEFAULT CAST(p_account_id AS BINARY);
  IF NOT EXISTS (SELECT 1 FROM accounts WHERE account_id = v_account_id) THEN
    INSERT INTO accounts (account_id, partition_id)
    SELECT v_account_id, CRC32(v_account_id) MOD meta.partitions FROM meta
    ON DUPLICATE KEY UPDATE account_id = accounts.account_id;
  END IF;
  SELECT CONVERT(account_id USING utf8mb4), account_db_key, partition_id, not_before, standing, standing_at
    FROM accounts
   WHERE account_id = v_account_id;
END
//
DELIMITER ;
