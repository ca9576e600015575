-- fp_audit_get: a page of the audit log, newest first
-- Database: global
-- Design: by primary key.
-- Parameters: p_below, an entry_id; p_limit.
-- Result sets: one, descending entry_id: entry_id, at, way, actor, action, subject, detail.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_audit_get;

DELIMITER //
CREATE PROCEDURE fp_audit_get(IN p_below BIGINT, IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT entry_id, at, way, CONVERT(actor USING utf8mb4), action, CONVERT(subject USING utf8mb4),
         CONVERT(detail USING utf8mb4)
    FROM audit_log
   WHERE entry_id < p_below
   ORDER BY entry_id DESC
   LIMIT p_limit;
END
//
DELIMITER ;
