-- 0016_global_audit_log: who did what to whom
-- Database: global
-- Design: as sql/0020_global_audit_log.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS audit_log (
  entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
  at       INTEGER NOT NULL,
  way      TEXT    NOT NULL CHECK (length(way) <= 16),
  actor    TEXT    NOT NULL CHECK (length(actor) <= 255),
  action   TEXT    NOT NULL CHECK (length(action) <= 64),
  subject  TEXT    NOT NULL CHECK (length(subject) <= 255),
  detail   TEXT    NOT NULL CHECK (length(detail) <= 255)
) STRICT;
