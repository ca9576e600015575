-- 0003_shard_versions_and_summaries: what messages said before, and the running summaries of rooms
-- Database: shard
-- Design: as sql/0006 and sql/0007; the limits that MySQL's types set are CHECKs here, so that both refuse the same
--   rows.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: a migration is one transaction here, and what is done is written down in it.

CREATE TABLE IF NOT EXISTS message_versions (
  room_id           BLOB    NOT NULL CHECK (length(room_id) = 16),
  seq               INTEGER NOT NULL,
  version           INTEGER NOT NULL,
  message_id        BLOB    NOT NULL CHECK (length(message_id) = 16),
  sender_type       TEXT    NOT NULL CHECK (length(sender_type) <= 8),
  content           TEXT    NOT NULL CHECK (length(CAST(content AS BLOB)) <= 16777215),
  sent_at           INTEGER NOT NULL,
  attempt           INTEGER NOT NULL,
  ai_persona        TEXT    NULL CHECK (length(ai_persona) <= 255),
  parent_message_id BLOB    NULL CHECK (length(parent_message_id) = 16),
  finish_reason     TEXT    NULL CHECK (length(finish_reason) <= 16),
  input_tokens      INTEGER NULL,
  output_tokens     INTEGER NULL,
  error_code        TEXT    NULL CHECK (length(error_code) <= 255),
  error_detail      TEXT    NULL CHECK (length(CAST(error_detail AS BLOB)) <= 16777215),
  metadata          TEXT    NOT NULL CHECK (length(CAST(metadata AS BLOB)) <= 16777215),
  PRIMARY KEY (room_id, seq, version)
) STRICT;

ALTER TABLE rooms ADD COLUMN summary TEXT NULL CHECK (length(CAST(summary AS BLOB)) <= 16777215);
ALTER TABLE rooms ADD COLUMN summary_through INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN summary_at INTEGER NULL;
ALTER TABLE rooms ADD COLUMN summary_version INTEGER NOT NULL DEFAULT 0;
