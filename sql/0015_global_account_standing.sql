-- 0015_global_account_standing: accounts that are disabled or deleted
-- Database: global
-- Design: standing is 'active', 'disabled' or 'deleted'; standing_at is when it was last changed (Unix milliseconds; 0:
--   never). A deleted account keeps its row, so that nobody becomes its owner again by having its name.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: each column is added once.

ALTER TABLE accounts ADD COLUMN standing VARCHAR(16) NOT NULL DEFAULT 'active';

ALTER TABLE accounts ADD COLUMN standing_at BIGINT NOT NULL DEFAULT 0;
