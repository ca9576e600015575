-- fp_signing_key_add: makes a signing key known
-- Database: global
-- Design: a kid that is there keeps its key, and stays retired if it was.
-- Parameters: p_kid; p_algorithm, of RFC 7518 or 8037; p_jwk, the public half; p_created_at, Unix milliseconds.
-- Result sets: none.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: the second time changes nothing, and tells nobody.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_signing_key_add;

DELIMITER //
CREATE PROCEDURE fp_signing_key_add(
  IN p_kid VARCHAR(255) CHARACTER SET utf8mb4, IN p_algorithm VARCHAR(64), IN p_jwk MEDIUMTEXT CHARACTER SET utf8mb4,
  IN p_created_at BIGINT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;
  START TRANSACTION;
  IF NOT EXISTS (SELECT 1 FROM signing_keys WHERE kid = p_kid FOR UPDATE) THEN
    INSERT INTO signing_keys (kid, algorithm, jwk, created_at) VALUES (p_kid, p_algorithm, p_jwk, p_created_at)
    ON DUPLICATE KEY UPDATE kid = signing_keys.kid;
    CALL fp_access_change_add('signing-keys', p_kid, p_created_at);
  END IF;
  COMMIT;
END
//
DELIMITER ;
