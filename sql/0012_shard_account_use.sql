-- 0012_shard_account_use: messages and tokens of an account, a row for each quarter of an hour in which it used any
-- Database: shard
-- Design: days are a matter of the time zone of whoever asks, and zones differ from UTC by whole quarters of an hour,
--   so the days of every zone are made of these rows. Added to in the transaction that writes the messages, so that
--   each is counted once. account_daily has what was counted before, in days of UTC, and what older programs count.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS account_use (
  account_db_key BIGINT NOT NULL,
  quarter        BIGINT NOT NULL COMMENT 'unix time / 900 s',
  messages       BIGINT NOT NULL,
  input_tokens   BIGINT NOT NULL,
  output_tokens  BIGINT NOT NULL,
  PRIMARY KEY (account_db_key, quarter)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
