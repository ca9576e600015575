-- 0007_global_api_keys: keys of accounts for their programs
-- Database: global
-- Design: as sql/0011_global_api_keys.sql; the limits that MySQL's types set are CHECKs here, so that both refuse the
--   same rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS api_keys (
  key_id         TEXT    PRIMARY KEY CHECK (length(key_id) <= 32),
  account_db_key INTEGER NOT NULL,
  name           TEXT    NOT NULL CHECK (length(name) <= 200),
  digest         TEXT    NOT NULL CHECK (length(digest) <= 64),
  scopes         TEXT    NOT NULL CHECK (length(scopes) <= 64),
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NULL,
  used_at        INTEGER NULL
) STRICT;

CREATE INDEX IF NOT EXISTS api_keys_by_account ON api_keys (account_db_key, key_id);
