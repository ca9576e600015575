-- fp_file_uses_drop: a message that was about to be sent was refused
-- Database: shard
-- Design: its files stay: their owner may send them again.
-- Parameters: p_message_id, 36 characters.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: rows that are gone stay gone.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_file_uses_drop;

DELIMITER //
CREATE PROCEDURE fp_file_uses_drop(IN p_message_id VARCHAR(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DELETE FROM file_uses WHERE message_id = UNHEX(REPLACE(p_message_id, '-', ''));
END
//
DELIMITER ;
