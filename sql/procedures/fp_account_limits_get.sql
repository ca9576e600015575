-- fp_account_limits_get: the accounts whose limits changed after a revision
-- Database: global
-- Design: the head comes with them, in one statement: a head below p_after says that the database was restored.
-- Parameters: p_after, a revision, or 0 for every account; p_limit.
-- Result sets: one, ascending revision: head, account_id, limits, revision; a single row with NULLs after the head when
--   nothing changed.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_account_limits_get;

DELIMITER //
CREATE PROCEDURE fp_account_limits_get(IN p_after BIGINT, IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT h.revision, CONVERT(l.account_id USING utf8mb4), l.limits, l.revision
    FROM access_head AS h
    LEFT JOIN account_limits AS l ON l.revision > p_after
   WHERE h.id = 1
   ORDER BY l.revision
   LIMIT p_limit;
END
//
DELIMITER ;
