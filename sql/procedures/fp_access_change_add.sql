-- fp_access_change_add: tells every replica that a credential changed
-- Database: global
-- Design: 1. Called by the procedures that make the change, in their transaction. 2. The head's row stays locked until
--   the caller commits: revisions become visible in their order. 3. The last 10,000 changes stay; a replica that has
--   not read for so long sees the gap and forgets everything. Does not commit.
-- Parameters: p_kind, a word; p_subject, the account or the key; p_changed_at, Unix milliseconds.
-- Result sets: none.
-- Errors: 22001 for a longer text.
-- Safe to repeat because: a change that is told twice makes replicas forget twice.

SET NAMES utf8mb4;
SET SESSION sql_mode = 'TRADITIONAL';
DROP PROCEDURE IF EXISTS fp_access_change_add;

DELIMITER //
CREATE PROCEDURE fp_access_change_add(
  IN p_kind VARCHAR(64), IN p_subject VARCHAR(255) CHARACTER SET utf8mb4, IN p_changed_at BIGINT
)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_revision BIGINT;
  UPDATE access_head SET revision = revision + 1 WHERE id = 1;
  SELECT revision INTO v_revision FROM access_head WHERE id = 1;
  INSERT INTO access_changes (revision, kind, subject, changed_at)
  VALUES (v_revision, p_kind, CAST(p_subject AS BINARY), p_changed_at);
  DELETE FROM access_changes WHERE revision <= v_revision - 10000;
END
//
DELIMITER ;
