-- 0018_global_account_deletions: receipts of accounts that are deleted
-- Database: global
-- Design: 1. The receipt is written in the transaction that shuts the account out; who deletes its rooms finds it here
--      and goes on where somebody else stopped. 2. It stays, so that fsck can check it for ever.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: the table says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS account_deletions (
  account_db_key BIGINT      NOT NULL,
  receipt_id     VARCHAR(64) NOT NULL,
  requested_at   BIGINT      NOT NULL,
  finished_at    BIGINT      NULL,
  rooms          BIGINT      NOT NULL,
  PRIMARY KEY (account_db_key),
  KEY deletions_by_end (finished_at, account_db_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
