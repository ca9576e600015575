-- 0014_global_account_deletions: receipts of accounts that are deleted
-- Database: global
-- Design: as sql/0018_global_account_deletions.sql.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS account_deletions (
  account_db_key INTEGER PRIMARY KEY,
  receipt_id     TEXT    NOT NULL CHECK (length(receipt_id) <= 64),
  requested_at   INTEGER NOT NULL,
  finished_at    INTEGER NULL,
  rooms          INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS deletions_by_end ON account_deletions (finished_at, account_db_key);
