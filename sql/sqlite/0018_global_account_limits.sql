-- 0018_global_account_limits: limits that operators set for single accounts
-- Database: global
-- Design: as sql/0022_global_account_limits.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS account_limits (
  account_id TEXT    NOT NULL PRIMARY KEY,
  limits     TEXT    NOT NULL CHECK (length(limits) <= 4096),
  revision   INTEGER NOT NULL UNIQUE
) STRICT;
