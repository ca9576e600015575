-- 0011_global_api_keys: keys of accounts for their programs
-- Database: global
-- Design: 1. Of the key itself there is the SHA-256: its secret has 256 random bits, which nobody can guess, so a slow
--      hash would protect nothing and cost every request.
--   2. key_id begins with the time at which the key was made: the primary key lists an account's keys oldest first.
--   3. used_at is coarse: it is written once in an hour.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS api_keys (
  key_id         VARCHAR(32)  NOT NULL,
  account_db_key BIGINT       NOT NULL,
  name           VARCHAR(200) NOT NULL,
  digest         CHAR(64)     NOT NULL,
  scopes         VARCHAR(64)  NOT NULL,
  created_at     BIGINT       NOT NULL,
  expires_at     BIGINT       NULL,
  used_at        BIGINT       NULL,
  PRIMARY KEY (key_id),
  KEY api_keys_by_account (account_db_key, key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
