-- 0005_shard_account_daily: messages and tokens of an account, a row for each day (UTC)
-- Database: shard
-- Design: added to in the transaction that writes the messages, so that each is counted once.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS account_daily (
  account_db_key BIGINT NOT NULL,
  day            DATE   NOT NULL,
  messages       BIGINT NOT NULL,
  input_tokens   BIGINT NOT NULL,
  output_tokens  BIGINT NOT NULL,
  PRIMARY KEY (account_db_key, day)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
