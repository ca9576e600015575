-- 0011_global_account_standing: accounts that are disabled or deleted
-- Database: global
-- Design: as sql/0015_global_account_standing.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

ALTER TABLE accounts ADD COLUMN standing TEXT NOT NULL DEFAULT 'active' CHECK (length(standing) <= 16);

ALTER TABLE accounts ADD COLUMN standing_at INTEGER NOT NULL DEFAULT 0;
