-- fp_account_restore: puts back an account that Redis remembers and a restored backup does not
-- Database: global
-- Design: the number and the partition are those that the account had: rooms carry them. An explicit number moves the
--   auto-increment value past it, so that no other account gets it.
-- Parameters: p_account_id, at most 255 characters, compared byte by byte; p_account_db_key, p_partition_id.
-- Result sets: one, ascending account_db_key: account_id, account_db_key, partition_id of who has the name and of who
--   has the number: one row, the account's, unless somebody else has one of them.
-- Errors: 22001 for a longer name.
-- Safe to repeat because: an account that is there, or whose number is taken, is left alone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_restore;

DELIMITER //
CREATE PROCEDURE fp_account_restore(
  IN p_account_id VARCHAR(255) CHARACTER SET utf8mb4, IN p_account_db_key BIGINT, IN p_partition_id INT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_account_id VARBINARY(1020) DEFAULT CAST(p_account_id AS BINARY);
  INSERT INTO accounts (account_db_key, account_id, partition_id)
  SELECT p_account_db_key, v_account_id, p_partition_id FROM meta
   WHERE NOT EXISTS (SELECT 1 FROM accounts
                      WHERE account_id = v_account_id OR account_db_key = p_account_db_key)
  ON DUPLICATE KEY UPDATE account_id = accounts.account_id;
  SELECT CONVERT(account_id USING utf8mb4), account_db_key, partition_id
    FROM accounts
   WHERE account_id = v_account_id OR account_db_key = p_account_db_key
   ORDER BY account_db_key;
END
//
DELIMITER ;
