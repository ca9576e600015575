-- 0013_shard_message_parts: the parts of messages that are more than one text
-- Database: shard
-- Design: 1. NULL for a message that is one text, as most are, and for those from before there were parts: what is
--      stored of them stays as it was.
--   2. JSON as text, as metadata is: what is dispatched to a tool is byte for byte what was approved. A text part only
--      says how much of content is its own, so that no text is stored twice.
-- Parameters: none
-- Result sets: none
-- Errors: 1060 when a column is there; MySQL has no ADD COLUMN IF NOT EXISTS.
-- Safe to repeat because: the runner takes error 1060 of an ADD COLUMN as done.

ALTER TABLE messages ADD COLUMN parts MEDIUMTEXT NULL;
ALTER TABLE message_versions ADD COLUMN parts MEDIUMTEXT NULL;
