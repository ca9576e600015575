-- 0006_shard_message_versions: what messages said before: earlier attempts of replies, texts before edits
-- Database: shard
-- Design: 1. The columns are those of messages, so that a version is read as a message is. What it says now stands in
--      messages alone: most messages have no row here.
--   2. A version is written once and never changed. It goes when its message is deleted.
--   3. Long texts are MEDIUMTEXT, as in messages. The primary key is the only key.
-- Parameters: none
-- Result sets: none
-- Errors: none
-- Safe to repeat because: it says IF NOT EXISTS.

CREATE TABLE IF NOT EXISTS message_versions (
  room_id           BINARY(16)   NOT NULL,
  seq               BIGINT       NOT NULL,
  version           BIGINT       NOT NULL,
  message_id        BINARY(16)   NOT NULL,
  sender_type       VARCHAR(8)   NOT NULL,
  content           MEDIUMTEXT   NOT NULL,
  sent_at           BIGINT       NOT NULL,
  attempt           BIGINT       NOT NULL,
  ai_persona        VARCHAR(255) NULL,
  parent_message_id BINARY(16)   NULL,
  finish_reason     VARCHAR(16)  NULL,
  input_tokens      BIGINT       NULL,
  output_tokens     BIGINT       NULL,
  error_code        VARCHAR(255) NULL,
  error_detail      MEDIUMTEXT   NULL,
  metadata          MEDIUMTEXT   NOT NULL,
  PRIMARY KEY (room_id, seq, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
