-- fp_signing_key_retire: from now on a key's signatures are refused
-- Database: global
-- Design: the row stays, and comes to be for a key that has none (the configured secret): a retired kid stays retired.
-- Parameters: p_kid; p_retired_at, Unix milliseconds.
-- Result sets: none.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: the first time stays, and replicas are told again.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_signing_key_retire;

DELIMITER //
CREATE PROCEDURE fp_signing_key_retire(IN p_kid VARCHAR(255) CHARACTER SET utf8mb4, IN p_retired_at BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  INSERT INTO signing_keys (kid, algorithm, jwk, created_at, retired_at)
  VALUES (p_kid, '', '', p_retired_at, p_retired_at)
  ON DUPLICATE KEY UPDATE retired_at = COALESCE(signing_keys.retired_at, VALUES(retired_at));
  CALL fp_access_change_add('signing-keys', p_kid, p_retired_at);
  COMMIT;
END
//
DELIMITER ;
