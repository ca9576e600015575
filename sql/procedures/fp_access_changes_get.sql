-- fp_access_changes_get: what changed after a revision
-- Database: global
-- Design: the head comes with the changes, in one statement: a caller who gets no change knows up to where.
-- Parameters: p_after, a revision; p_limit.
-- Result sets: one, ascending: head, revision, kind, subject, changed_at; a single row with NULLs after the head when
--   nothing changed. The first revision is above p_after + 1 when changes in between are gone.
-- Errors: none.
-- Safe to repeat because: it only reads.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_access_changes_get;

DELIMITER //
CREATE PROCEDURE fp_access_changes_get(IN p_after BIGINT, IN p_limit INT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  SELECT h.revision, c.revision, c.kind, CONVERT(c.subject USING utf8mb4), c.changed_at
    FROM access_head AS h
    LEFT JOIN access_changes AS c ON c.revision > p_after
   WHERE h.id = 1
   ORDER BY c.revision
   LIMIT p_limit;
END
//
DELIMITER ;
