-- 0019_shard_account_cost: what the tokens of an account cost, beside their number
-- Database: shard
-- Design: in billionths of the currency of the personas' prices, so that sums are exact. 0 for what was counted before,
--   and by older programs.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration that is done is not run again.

ALTER TABLE account_use ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
