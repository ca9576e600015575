-- fp_account_remains: what the shard still has of an account
-- Database: shard
-- Design: joins go from the account's rooms to their messages, by primary key.
-- Parameters: p_account_db_key.
-- Result sets: one row: rooms that are not deleted; rows of messages, of versions and of the search; rows of use;
--   files.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_remains;

DELIMITER //
CREATE PROCEDURE fp_account_remains(IN p_account_db_key BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT
    (SELECT COUNT(*) FROM rooms WHERE account_db_key = p_account_db_key AND deleted_at IS NULL),
    (SELECT COUNT(*) FROM rooms AS r JOIN messages AS m ON m.room_id = r.room_id
      WHERE r.account_db_key = p_account_db_key)
    + (SELECT COUNT(*) FROM rooms AS r JOIN message_versions AS v ON v.room_id = r.room_id
        WHERE r.account_db_key = p_account_db_key)
    + (SELECT COUNT(*) FROM rooms AS r JOIN message_search AS s ON s.room_id = r.room_id
        WHERE r.account_db_key = p_account_db_key),
    (SELECT COUNT(*) FROM account_use WHERE account_db_key = p_account_db_key)
    + (SELECT COUNT(*) FROM account_daily WHERE account_db_key = p_account_db_key),
    (SELECT COUNT(*) FROM files WHERE account_db_key = p_account_db_key);
END
//
DELIMITER ;
