-- 0008_shard_account_use: messages and tokens of an account, a row for each quarter of an hour in which it used any
-- Database: shard
-- Design: as sql/0012.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS account_use (
  account_db_key INTEGER NOT NULL,
  quarter        INTEGER NOT NULL,
  messages       INTEGER NOT NULL,
  input_tokens   INTEGER NOT NULL,
  output_tokens  INTEGER NOT NULL,
  PRIMARY KEY (account_db_key, quarter)
) STRICT, WITHOUT ROWID;
