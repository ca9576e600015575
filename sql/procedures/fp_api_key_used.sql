-- fp_api_key_used: when a key was last used, roughly
-- Database: global
-- Design: called once in an hour for a key and replica. The time never goes back.
-- Parameters: p_key_id; p_used_at, Unix milliseconds.
-- Result sets: none.
-- Errors: none.
-- Safe to repeat because: the highest time stays.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_api_key_used;

DELIMITER //
CREATE PROCEDURE fp_api_key_used(IN p_key_id VARCHAR(64), IN p_used_at BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  UPDATE api_keys SET used_at = GREATEST(COALESCE(used_at, 0), p_used_at) WHERE key_id = p_key_id;
END
//
DELIMITER ;
