-- 0009_shard_message_parts: the parts of messages that are more than one text
-- Database: shard
-- Design: as sql/0013; the limits that MySQL's types set are CHECKs here, so that both refuse the same rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

ALTER TABLE messages ADD COLUMN parts TEXT NULL CHECK (length(CAST(parts AS BLOB)) <= 16777215);
ALTER TABLE message_versions ADD COLUMN parts TEXT NULL CHECK (length(CAST(parts AS BLOB)) <= 16777215);
