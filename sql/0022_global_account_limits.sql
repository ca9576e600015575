-- 0022_global_account_limits: limits that operators set for single accounts
-- Database: global
-- Design: 1. limits is a JSON object, name to number, or to 'off' for no limit; the others are as the
--   settings say.
--   2. The revision is access_head's, minted under its row lock: who has read up to one has missed nothing before it.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: the table says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS account_limits (
  account_id VARBINARY(1020) NOT NULL,
  limits     VARCHAR(4096)   NOT NULL,
  revision   BIGINT          NOT NULL,
  PRIMARY KEY (account_id),
  UNIQUE KEY by_revision (revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
