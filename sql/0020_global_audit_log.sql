-- 0020_global_audit_log: who did what to whom
-- Database: global
-- Design: 1. Rows are added, and no procedure changes or deletes one. 2. actor and subject are bytes, as names of
--   accounts are everywhere. 3. Nobody's text is in it.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: the table says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS audit_log (
  entry_id BIGINT          NOT NULL AUTO_INCREMENT,
  at       BIGINT          NOT NULL,
  way      VARCHAR(16)     NOT NULL,
  actor    VARBINARY(1020) NOT NULL,
  action   VARCHAR(64)     NOT NULL,
  subject  VARBINARY(1020) NOT NULL,
  detail   VARBINARY(1020) NOT NULL,
  PRIMARY KEY (entry_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
