-- 0015_shard_account_cost: what the tokens of an account cost, beside their number
-- Database: shard
-- Design: as sql/0019.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

ALTER TABLE account_use ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
