-- fp_audit_add: writes down who does what to whom
-- Database: global
-- Design: called before it is done: what is not written down does not happen.
-- Parameters: p_at, Unix milliseconds; p_way, p_actor, p_action, p_subject, p_detail: parlor/model/administration.py.
-- Result sets: none.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: each call adds an entry, and two of the same say that it was asked for twice.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_audit_add;

DELIMITER //
CREATE PROCEDURE fp_audit_add(
  IN p_at BIGINT, IN p_way VARCHAR(16), IN p_actor VARCHAR(255) CHARACTER SET utf8mb4, IN p_action VARCHAR(64),
  IN p_subject VARCHAR(255) CHARACTER SET utf8mb4, IN p_detail VARCHAR(255) CHARACTER SET utf8mb4
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  INSERT INTO audit_log (at, way, actor, action, subject, detail)
  VALUES (p_at, p_way, CAST(p_actor AS BINARY), p_action, CAST(p_subject AS BINARY), CAST(p_detail AS BINARY));
END
//
DELIMITER ;
