-- fp_signing_keys_get: the keys that sign tokens, retired ones too
-- Database: global
-- Design: there are few.
-- Parameters: none.
-- Result sets: one, oldest first: kid, algorithm, jwk, created_at, retired_at.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_signing_keys_get;

DELIMITER //
CREATE PROCEDURE fp_signing_keys_get()
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT k.kid, k.algorithm, k.jwk, k.created_at, k.retired_at
    FROM signing_keys AS k
   ORDER BY k.created_at, k.kid;
END
//
DELIMITER ;
